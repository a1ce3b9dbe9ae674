"""Pretrained networks: classify, embed and explain image files."""

from collections.abc import Callable, Iterator, Sequence
import dataclasses
import functools
import os
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from inception import paths
from inception.checkpoints import restore
from inception.data import class_names
from inception.data.device import feed
from inception.errors import UserError
from inception.modules.network import Outputs
from inception.predict import tasks
from inception.predict.failure import Failure
from inception.predict.predictor import (
  CROPS,
  Model,
  choose_precision,
  options_of,
)
from inception.pretrained import by_name
from inception.processes.device_program import pmap
from inception.quantization.int8 import QuantizedNetwork, network_from_config
from inception.quantization.int8_check import warn_of_wrong_integers

Array = jax.Array


@dataclasses.dataclass(frozen=True)
class Prediction:
  """Names of the most likely classes of an image, with probabilities."""

  file: str
  classes: tuple[str, ...]
  probabilities: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Pretrained:
  """A network, its weights, and the preprocessing they expect.

  Attributes:
    model: The Flax module.
    variables: {'params', 'batch_stats'}, and 'scales' in int8.
    config: Config of the run or of the import.
    step: Training steps taken; 0 for imported weights.
    top1: Fraction of right classes when it was evaluated in training; None if
      it was not.
  """

  model: Model
  variables: dict[str, Any] = dataclasses.field(repr=False)
  config: ml_collections.ConfigDict = dataclasses.field(repr=False)
  step: int = 0
  top1: float | None = None

  def __call__(self, images: Array, *, endpoints: bool = False) -> Outputs:
    """Classifies images as `read` returns them; see `Network.__call__`.

    The first call with a new image shape compiles the network.
    """
    return self._apply(self.variables, images, endpoints)

  @functools.cached_property
  def _apply(self) -> Callable[[Any, Array, bool], Any]:
    def apply(variables: Any, images: Array, endpoints: bool) -> Any:
      return self.model.apply(variables, images, endpoints=endpoints)

    inner = jax.jit(apply, static_argnums=2)
    outermost = jax.jit(
      apply, static_argnums=2, compiler_options=self._compiler_options
    )

    def run(variables: Any, images: Array, endpoints: bool) -> Any:
      # Inside another jitted function, options are not allowed. There, JAX
      # traces every operation, also on images that are constants.
      is_traced = isinstance(jnp.zeros(()), jax.core.Tracer)
      return (inner if is_traced else outermost)(variables, images, endpoints)

    return run

  @property
  def _compiler_options(self) -> Any:
    return options_of(self.model, self.config.data)

  def read(self, files: Sequence[paths.PathLike]) -> Array:
    """Reads image files and preprocesses them as the weights expect.

    Returns:
      float32 [files, height, width, 3].

    Raises:
      UserError: A file cannot be read.
    """
    from inception.data.pixels import images

    read = [images.load_image(f, self.config.data) for f in _names(files)]
    return feed.normalize(jnp.stack(read), self.config.data)

  @property
  def class_names(self) -> tuple[str, ...]:
    """A name per logit, such as 'class 7' where names are unknown."""
    return class_names.of_logits(self.config.data, self.model.num_classes)

  def predict(
    self, files: Sequence[paths.PathLike], top: int = 5, crops: int = 1
  ) -> list[Prediction]:
    """Classifies image files.

    Args:
      files: Paths of the images.
      top: Number of classes to return per image.
      crops: Number of crops to average, mirror images included; a key of
        `CROPS`.

    Raises:
      UserError: A file is not an image, or its logits are not finite.
    """
    if crops not in CROPS:
      known = ', '.join(map(str, CROPS))
      raise UserError(f'crops={crops} is not one of {known}')
    if top < 1:
      raise UserError(f'top={top} must be at least 1')
    rows = self.stream(_names(files), self.classify(top, crops), crops=crops)
    return [_or_raise(file, self.name(file, result)) for file, result in rows]

  def features(
    self,
    files: Sequence[paths.PathLike],
    endpoint: str = 'PreLogits',
    normalize: bool = False,
  ) -> np.ndarray:
    """Returns the output of a stage of the network for image files.

    Args:
      files: Paths of the images.
      endpoint: Name of a stage, or 'PreLogits', the input of the classifier.
      normalize: Divide each image's features by their L2 norm, as for comparing
        FaceNet embeddings.

    Returns:
      float32 [files, ...].

    Raises:
      UserError: A file is not an image, or there is no such stage.
    """
    rows = self.stream(_names(files), self.extract(endpoint, normalize))
    return np.stack([_or_raise(file, result) for file, result in rows])

  def stream(
    self,
    files: Sequence[str],
    function: Any,
    rows: int | None = None,
    crops: int = 1,
  ) -> Iterator[tuple[str, Any]]:
    """Runs a function, such as from `classify`, on files; see `stream.run`."""
    from inception.predict import stream  # Imports TensorFlow.

    data, squares = self.config.data, CROPS[crops]
    return stream.run(function, self.variables, data, files, rows, squares)

  def classify(self, top: int, crops: int = 1) -> Any:
    """Returns a function for `stream`; see `tasks.classify`."""
    return self._compiled(tasks.classify, top, crops)

  def extract(self, endpoint: str, normalize: bool) -> Any:
    """Returns a function for `stream`; see `tasks.extract`."""
    return self._compiled(tasks.extract, endpoint, normalize)

  def explain(self, top: int) -> Any:
    """Returns a function for `stream`; see `tasks.explain`."""
    return self._compiled(tasks.explain, top)

  @functools.cached_property
  def _compiled(self) -> Callable[..., Any]:
    """Compiles a task for all local devices, once per set of arguments."""

    @functools.cache
    def compiled(make: Callable[..., Any], *arguments: Any) -> Any:
      function = make(self.model, self.config.data, *arguments)
      return pmap(
        function,
        self._compiler_options,
        in_axes=(None, 0),
        devices=jax.local_devices(),
      )

    return compiled

  def name(self, file: str, result: Any) -> Prediction | Failure:
    """Adds class names to a result of `classify` or `explain`."""
    if isinstance(result, Failure):
      return result
    if result['label'][0] < 0:
      return Failure(file, 'the network returns non-finite numbers for it')
    return Prediction(
      file,
      tuple(self.class_names[label] for label in result['label']),
      tuple(float(p) for p in result['probability']),
    )


def _names(files: Sequence[paths.PathLike]) -> list[str]:
  """Returns paths as strings; rejects an empty list and a single path."""
  if isinstance(files, str | os.PathLike):
    raise UserError(f'{str(files)!r} is a single path; give a list of paths')
  if not len(files):
    raise UserError('the list of files is empty')
  return [os.fspath(file) for file in files]


def _or_raise(file: str, result: Any) -> Any:
  if isinstance(result, Failure):
    raise UserError(f'{file}: {result.reason}')
  return result


def load_pretrained(
  folder: paths.PathLike,
  step: str | int = 'latest',
  precision: str | None = None,
) -> Pretrained:
  """Loads a network with its weights.

  Args:
    folder: A run's workdir, a folder that `python -m inception.pretrained`
      wrote, or the name of published weights, such as 'inception_v3.tv_in1k',
      which are downloaded on first use.
    step: A number, 'best' (by top-1 in training) or 'latest'.
    precision: Arithmetic, see `create_model`; None: float32, or int8 for a
      quantized network.

  Raises:
    UserError: The checkpoint is missing or damaged, cannot be downloaded, or
      does not run in this precision.
  """
  loaded = restore.load_variables(by_name.find(folder), str(step))
  config = loaded.config.copy_and_resolve_references()
  config.precision = choose_precision(folder, config.precision, precision)
  model = network_from_config(config)
  variables = jax.tree.map(jnp.asarray, loaded.variables)
  if isinstance(model, QuantizedNetwork):
    warn_of_wrong_integers(folder, model, variables, config.data.image_size)
  return Pretrained(
    model, variables, loaded.config, loaded.step, loaded.scores.get('top1')
  )

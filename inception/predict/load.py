"""Networks with their weights: classes, features and explanations of files."""

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
from inception.predict import explain as explanation
from inception.predict.failure import Failure
from inception.predict.int8_check import warn_of_wrong_integers
from inception.predict.predictor import (
  CROPS,
  Model,
  average_crops,
  choose_precision,
  make_extractor,
  make_predictor,
  top_classes,
)
from inception.quantization.int8 import (
  QuantizedNetwork,
  network_from_config,
)

Array = jax.Array


@dataclasses.dataclass(frozen=True)
class Prediction:
  """The likeliest classes of an image.

  Attributes:
    file: Its path.
    classes: Their names, the likeliest first.
    probabilities: Theirs.
  """

  file: str
  classes: tuple[str, ...]
  probabilities: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Pretrained:
  """A network, its weights, and how they expect images.

  Attributes:
    model: The Flax module.
    variables: {'params', 'batch_stats'}, and 'scales' in int8.
    config: Config of the run or of the import.
  """

  model: Model
  variables: dict[str, Any] = dataclasses.field(repr=False)
  config: ml_collections.ConfigDict = dataclasses.field(repr=False)

  def __call__(self, images: Array, *, endpoints: bool = False) -> Outputs:
    """Classifies images as `read` returns them; see `Network.__call__`.

    The first call for a shape of images compiles the network.
    """
    return self._apply(self.variables, images, endpoints)

  @functools.cached_property
  def _apply(self) -> Callable[[Any, Array, bool], Any]:
    def apply(variables: Any, images: Array, endpoints: bool) -> Any:
      return self.model.apply(variables, images, endpoints=endpoints)

    return jax.jit(apply, static_argnums=2)

  def read(self, files: Sequence[paths.PathLike]) -> Array:
    """Reads image files the way the weights expect them.

    Args:
      files: Their paths; see `data.pixels.signature.SUPPORTED`.

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
    """A name per logit; 'class 7' and the like where names are unknown."""
    return class_names.of_logits(self.config.data, self.model.num_classes)

  def predict(
    self, files: Sequence[paths.PathLike], top: int = 5, crops: int = 1
  ) -> list[Prediction]:
    """Names what is in image files.

    Args:
      files: Their paths.
      top: Number of classes to return per image.
      crops: A number in `CROPS`: of squares and their mirror images whose
        probabilities are averaged.

    Raises:
      UserError: A file is no image, or the network answers nothing.
    """
    if crops not in CROPS:
      known = ', '.join(map(str, CROPS))
      raise UserError(f'crops={crops} is not one of {known}')
    if top < 1:
      raise UserError(f'top={top} must be at least 1')
    rows = self.stream(
      _names(files), self.classify(top, crops), squares=CROPS[crops]
    )
    return [_or_raise(file, self.name(file, result)) for file, result in rows]

  def features(
    self,
    files: Sequence[paths.PathLike],
    endpoint: str = 'PreLogits',
    normalize: bool = False,
  ) -> np.ndarray:
    """Returns what a stage of the network makes of image files.

    Args:
      files: Their paths.
      endpoint: Name of a stage, or 'PreLogits', the vector that is classified.
      normalize: Divide each image's features by their L2 norm, as FaceNet's
        embeddings are compared.

    Returns:
      float32 [files, ...].

    Raises:
      UserError: A file is no image, or there is no such stage.
    """
    rows = self.stream(_names(files), self.extract(endpoint, normalize))
    return np.stack([_or_raise(file, result) for file, result in rows])

  def stream(
    self,
    files: Sequence[str],
    function: Any,
    rows: int | None = None,
    squares: int = 1,
  ) -> Iterator[tuple[str, Any]]:
    """Runs `classify`, `extract` or `explain` on files; see `stream.run`."""
    from inception.predict import stream  # Imports TensorFlow.

    rows = stream.ROWS if rows is None else rows
    return stream.run(
      function, self.variables, self.config.data, files, rows, squares
    )

  def classify(self, top: int, crops: int = 1) -> Any:
    """Returns a function of variables and images, for `stream`.

    It returns the `probability` and `label` of the `top` likeliest classes, and
    takes `CROPS[crops]` squares of each image.
    """
    self._check_classifier()

    def make() -> Any:
      predict = make_predictor(self.model, self.config.data)
      if crops > 1:
        predict = average_crops(predict, self.model.activation)
      return lambda variables, images: top_classes(
        predict(variables, images), top, self.model.activation
      )

    return self._once(('classify', top, crops), make)

  def extract(self, endpoint: str, normalize: bool) -> Any:
    """Returns a function of variables and images, for `stream`; see `features`.

    Raises:
      UserError: There is no such stage.
    """
    stages = [stage.name for stage in self.model.architecture.stages]
    names = [*stages, 'PreLogits']
    if endpoint not in names:
      raise UserError(
        f'endpoint {endpoint!r} does not exist; there are {", ".join(names)}'
      )
    make = functools.partial(
      make_extractor, self.model, self.config.data, endpoint, normalize
    )
    return self._once(('extract', endpoint, normalize), make)

  def explain(self, top: int) -> Any:
    """Returns a function of variables and images, for `stream`.

    It returns what `classify` does, and `heat` and `image` of
    `explain.make_explainer`.
    """
    self._check_classifier()
    model = self.model
    if isinstance(model, QuantizedNetwork):
      raise UserError(
        'integers have no gradient, which explanations need: explain the'
        ' network that was quantized'
      )

    def make() -> Any:
      explain = explanation.make_explainer(model, self.config.data)

      def explain_top(variables: Any, images: Array) -> dict[str, Array]:
        results = explain(variables, images)
        logits = results.pop('logits')
        return {**top_classes(logits, top, model.activation), **results}

      return explain_top

    return self._once(('explain', top), make)

  @functools.cached_property
  def _functions(self) -> dict[tuple[Any, ...], Any]:
    return {}

  def _once(self, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
    """Returns the same function for a key, which is compiled once."""
    if key not in self._functions:
      self._functions[key] = make()
    return self._functions[key]

  def _check_classifier(self) -> None:
    if not self.model.num_classes:
      raise UserError(
        'the network has no classifier, only features: see features() and'
        ' --endpoint, or train a classifier with --config.pretrained'
      )

  def name(self, file: str, result: Any) -> Prediction | Failure:
    """Returns a result of `classify` or `explain` with names."""
    if isinstance(result, Failure):
      return result
    if result['label'][0] < 0:
      return Failure(file, 'the network does not compute finite numbers for it')
    return Prediction(
      file,
      tuple(self.class_names[label] for label in result['label']),
      tuple(float(p) for p in result['probability']),
    )


def _names(files: Sequence[paths.PathLike]) -> list[str]:
  """Returns paths as text.

  Raises:
    UserError: There are none, or a single path was given.
  """
  if isinstance(files, str | os.PathLike):
    raise UserError(f'{str(files)!r} is one path; give a list of paths')
  if not len(files):
    raise UserError('there are no files')
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
  """Loads a network from a folder with checkpoints.

  Args:
    folder: A folder that `python -m inception.pretrained` wrote, or a run's
      workdir.
    step: A number, 'best' (by top-1 in training) or 'latest'.
    precision: Arithmetic, see `create_model`; None: float32, or int8 for a
      quantized network.

  Raises:
    UserError: There is no such checkpoint, it is damaged, or it is quantized
      and another precision was asked for.
  """
  loaded = restore.load_variables(paths.resolve(folder), str(step))
  config = loaded.config.copy_and_resolve_references()
  config.precision = choose_precision(folder, config.precision, precision)
  model = network_from_config(config)
  variables = jax.tree.map(jnp.asarray, loaded.variables)
  if isinstance(model, QuantizedNetwork):
    size = config.data.image_size
    warn_of_wrong_integers(folder, model, variables, size)
  return Pretrained(model, variables, loaded.config)

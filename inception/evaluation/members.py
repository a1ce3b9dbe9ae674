"""The networks that an evaluation averages, usually just one."""

from collections.abc import Sequence
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections

from inception import paths
from inception.checkpoints.restore import Loaded, load_variables
from inception.data import class_names
from inception.data.sources.catalog import open_source
from inception.data.sources.source import Source, relabel
from inception.errors import UserError, count
from inception.predict.predictor import (
  Predictor,
  average_crops,
  choose_precision,
  make_predictor,
)
from inception.pretrained import by_name
from inception.processes import distributed
from inception.quantization.int8 import QuantizedNetwork, network_from_config
from inception.quantization.int8_check import warn_of_wrong_integers
from inception.quantization.quantize import Calibration, quantize_loaded

Array = jax.Array

# Fields of `config.data` that decide which pixels a network gets.
_PIXELS = (
  'image_size',
  'eval_transform',
  'crop_pct',
  'interpolation',
  'background',
  'exif_orientation',
)


@dataclasses.dataclass(frozen=True)
class Procedure:
  """How networks are evaluated.

  Attributes:
    precision: 'float32', 'bfloat16', 'float16' or 'int8'; None: as in
      training.
    crops: A number in `CROPS`.
    calibration: How to quantize a float network for 'int8'.
    only: Indices of the classes that may be predicted, or None; examples of
      other classes are skipped.
    labels: 'real' or a file, see `real_labels.read`; None: the data set's own
      labels.
  """

  precision: str | None = None
  crops: int = 1
  calibration: Calibration = Calibration()
  only: tuple[int, ...] | None = None
  labels: str | None = None


DEFAULT = Procedure()


@dataclasses.dataclass(frozen=True)
class Member:
  """A network, its weights, and the examples to evaluate it on.

  Attributes:
    folder: Where the weights are.
    step: Training steps taken.
    config: Config of the run, with the data set of this evaluation.
    source: The examples, with the network's labels.
    predictor: The network as a predictor.
    variables: Its variables, on the host.
  """

  folder: str
  step: int
  config: ml_collections.ConfigDict
  source: Source
  predictor: Predictor
  variables: Any

  @property
  def pixels(self) -> str:
    """Preprocessing key: networks with equal keys take the same images."""
    return str([self.config.data[name] for name in _PIXELS])

  @property
  def activation(self) -> str:
    """The network's last activation, a name in `ACTIVATIONS`."""
    return self.config.model.activation

  @property
  def offset(self) -> int:
    """Index of the logit of the first class."""
    return self.config.data.class_offset


def open_member(
  folder: paths.PathLike,
  step: str,
  split: str | None,
  dataset: str | None,
  data_dir: str | None,
  protocol: Procedure,
) -> Member:
  """Restores a network and opens the split that it is evaluated on.

  The arguments are those of `workdir.open_workdir`.

  Raises:
    UserError: The checkpoint, split or data set is missing or damaged, or the
      network cannot be evaluated this way.
  """
  loaded = load_variables(by_name.find(folder), step)
  config = loaded.config.copy_and_resolve_references()
  data = config.data
  data.dataset = data.dataset if dataset is None else dataset
  data.data_dir = data.data_dir if data_dir is None else data_dir
  data.eval_split = data.eval_split if split is None else split
  source = _match_classes(open_source(data, data.eval_split), config, folder)
  config.precision, variables = _in_precision(folder, loaded, data, protocol)
  model = network_from_config(config)
  if isinstance(model, QuantizedNetwork):
    warn_of_wrong_integers(folder, model, variables, data.image_size)
  predictor = make_predictor(model, data)
  if protocol.crops > 1:
    predictor = average_crops(predictor, model.activation)
  if protocol.only is not None:
    predictor = _choose_from(
      protocol.only, data.class_offset, len(source.classes), predictor
    )
  return Member(str(folder), loaded.step, config, source, predictor, variables)


def _in_precision(
  folder: paths.PathLike,
  loaded: Loaded,
  data: ml_collections.ConfigDict,
  protocol: Procedure,
) -> tuple[str, Any]:
  """Returns the precision to compute in, and the variables for it."""
  stored = loaded.config.precision
  wanted = protocol.precision or stored
  if wanted == 'int8' != stored:
    _, variables = quantize_loaded(folder, loaded, data, protocol.calibration)
    return wanted, variables
  return choose_precision(folder, stored, wanted), loaded.variables


def _match_classes(
  source: Source, config: ml_collections.ConfigDict, folder: paths.PathLike
) -> Source:
  """Maps a source's labels to the network's, by name if names are known."""
  if not config.model.num_classes:
    raise UserError(
      f'the network of {folder} has no classifier, only features: train one'
      f' with --config.pretrained={folder}'
    )
  names = class_names.configured(config.data)
  if names is not None:
    return relabel(source, names, f'the network of {folder}')
  expected = config.model.num_classes - config.data.class_offset
  if len(source.classes) != expected:
    raise UserError(
      f'{source.name} has {count(len(source.classes), "class")}, but the'
      f' network of {folder} has {expected}'
    )
  distributed.warn(
    f'{folder} has no class names; assuming those of {source.name} in its'
    f' order, from {source.classes[0]!r} to {source.classes[-1]!r}; to set'
    ' them, import the weights with --classes'
  )
  return source


def _choose_from(
  only: Sequence[int], offset: int, count: int, predictor: Predictor
) -> Predictor:
  """Returns a predictor with all logits not in `only` at minus infinity."""
  for index in only:
    if not 0 <= index < count:
      raise UserError(
        f'--classes has the index {index}; the network has classes 0 to'
        f' {count - 1}'
      )
  places = jnp.asarray(only) + offset

  def predict(variables: Any, images: Array) -> Array:
    logits = predictor(variables, images)
    chosen = jnp.zeros(logits.shape[-1], bool).at[places].set(True)
    return jnp.where(chosen, logits, -jnp.inf)

  return predictor.then(predict)

"""Where training starts: a checkpoint, pretrained weights, or neither."""

from collections.abc import Mapping
import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from inception import paths
from inception.checkpoints import arrays, choose
from inception.checkpoints.reading import Checkpoint
from inception.checkpoints.restore import Loaded, load_variables, restore_into
from inception.checkpoints.store import Checkpoints
from inception.config import compare
from inception.data import class_names
from inception.data.pixels.eval_transforms import eval_transform
from inception.errors import UserError
from inception.modules.network import Network
from inception.pretrained import by_name
from inception.processes import distributed
from inception.training.build import Training, heads_of
from inception.training.recipe.state import TrainState


@dataclasses.dataclass(frozen=True)
class Start:
  """Where a run starts; at most one of the two is set.

  Attributes:
    checkpoint: The newest good checkpoint of the workdir.
    pretrained: The weights of `config.pretrained`.
  """

  checkpoint: Checkpoint | None
  pretrained: Loaded | None

  @property
  def weights_config(self) -> ml_collections.ConfigDict | None:
    """Config of the weights whose image format the run must match, if any."""
    if self.pretrained is not None:
      return _with_normalization(self.pretrained.config)
    if self.checkpoint is not None and self.checkpoint.config.pretrained:
      return self.checkpoint.config
    return None


def _with_normalization(
  config: ml_collections.ConfigDict,
) -> ml_collections.ConfigDict:
  """Returns the config with its transform's mean and deviation, if unset.

  Only for new runs: a resumed run keeps those of its checkpoint.
  """
  config = config.copy_and_resolve_references()
  transform = eval_transform(config.data)
  config.data.mean = config.data.mean or transform.mean
  config.data.std = config.data.std or transform.std
  return config


def find_start(
  checkpoints: Checkpoints, config: ml_collections.ConfigDict
) -> Start:
  """Reads the newest good checkpoint, or else the pretrained weights.

  All processes read the checkpoint that the first one chooses.

  Raises:
    UserError: All checkpoints are damaged, the pretrained weights do not exist,
      or they are for a different network.
  """
  checkpoint = None
  with distributed.agreed():
    steps = checkpoints.steps() if distributed.is_first() else []
    if steps:
      checkpoint = choose.load_first_good(checkpoints, steps[::-1])
  step = distributed.from_first(checkpoint.step if checkpoint else None)
  with distributed.agreed():
    if step is not None and checkpoint is None:
      checkpoint = checkpoints.load(step)
    if checkpoint is not None or config.pretrained is None:
      return Start(checkpoint, None)
    return Start(None, _load_pretrained(config))


def _load_pretrained(config: ml_collections.ConfigDict) -> Loaded:
  """Loads the weights of `config.pretrained`, checked against the config."""
  pretrained = load_variables(by_name.find(config.pretrained))
  if pretrained.config.precision == 'int8':
    raise UserError(
      f'pretrained={config.pretrained} is quantized and cannot be trained; use'
      ' the float weights that it was made from'
    )
  theirs = pretrained.config.model.architecture
  if theirs != config.model.architecture:
    raise UserError(
      f'pretrained={config.pretrained} is {theirs}, but the config has'
      f' {config.model.architecture}; set --config.model.architecture={theirs}'
    )
  epsilon = pretrained.config.model.batch_norm_epsilon
  if epsilon != config.model.batch_norm_epsilon:
    distributed.warn(
      f'pretrained={config.pretrained} was trained with'
      f' model.batch_norm_epsilon={epsilon}, but the config has'
      f' {config.model.batch_norm_epsilon}'
    )
  return pretrained


def first_state(
  start: Start, training: Training, workdir: paths.Path
) -> TrainState:
  """Returns the state that training continues from.

  Raises:
    UserError: The checkpoint has a different config; names the fields. Or the
      pretrained weights do not fit; names the parameter.
  """
  if start.checkpoint is not None:
    changes = compare.differences(start.checkpoint.config, training.config)
    if changes:
      raise UserError(
        f'{workdir} was started with another config: {"; ".join(changes)}.'
        ' Use another workdir, or the old values'
      )
    return restore_into(training.abstract_state, start.checkpoint.state)
  state = training.initial_state()
  if start.pretrained is None:
    return state
  theirs, ours = (
    class_names.configured(config.data)
    for config in (start.pretrained.config, training.config)
  )
  state, new = take_pretrained(
    state,
    start.pretrained.variables,
    training.model,
    other_classes=theirs not in (None, ours)
    or start.pretrained.config.model.activation != 'softmax',
  )
  if theirs is None and 'Logits/Logits' not in new:
    distributed.warn(
      f'{training.config.pretrained} does not name its classes; its'
      ' classifier is kept, assuming the class order of the data'
    )
  if distributed.is_first():
    print(
      f'weights from {training.config.pretrained}; new layers:'
      f' {", ".join(new) or "none"}'
    )
  return state


def take_pretrained(
  state: TrainState,
  variables: Mapping[str, Any],
  model: Network,
  other_classes: bool = False,
) -> tuple[TrainState, list[str]]:
  """Replaces random weights with pretrained ones.

  Head layers whose shapes differ, as with a different number of classes, keep
  their random weights, and so do classifiers for other classes. If batch norm
  has a scale here but not in the weights, the scale is 1, which is equivalent.

  Args:
    state: State before the first step.
    variables: {'params', 'batch_stats'} of the weights.
    model: Network to train.
    other_classes: True if the classifier of the weights is for other classes or
      a different loss.

  Returns:
    The state, and the names of the layers that kept random weights.

  Raises:
    UserError: Names the first parameter outside of heads that does not fit.
  """
  variables_here = {'params': state.params, 'batch_stats': state.batch_stats}
  wanted = arrays.flatten(variables_here)
  given = arrays.flatten(dict(variables))
  new_layers = _new_layers(wanted, given, model, other_classes)
  taken = {}
  for path, value in wanted.items():
    if _layer_of(path) in new_layers:
      taken[path] = value
    elif path in given:
      taken[path] = jnp.asarray(given[path])
    else:
      taken[path] = jnp.ones_like(value)
  first = arrays.unflatten(taken)
  first.setdefault('batch_stats', {})
  # The step donates its input, so the average needs its own memory.
  ema = state.ema and jax.tree.map(jnp.copy, first)
  return dataclasses.replace(state, **first, ema=ema), sorted(new_layers)


def _new_layers(
  wanted: Mapping[str, Any],
  given: Mapping[str, Any],
  model: Network,
  other_classes: bool,
) -> set[str]:
  """Returns the head layers that do not fit; other layers raise."""
  heads = heads_of(model)
  new_layers = set()
  for path, value in wanted.items():
    fits = np.shape(given.get(path, math.nan)) == value.shape
    if other_classes and _layer_of(path).endswith('/Logits'):
      fits = False
    if fits or (path not in given and path.endswith('BatchNorm/scale')):
      continue
    if path.split('/')[1] not in heads:
      theirs = np.shape(given[path]) if path in given else 'missing'
      raise UserError(
        f'the pretrained weights do not fit: {path} is {value.shape} in the'
        f' network and {theirs} in the weights'
      )
    new_layers.add(_layer_of(path))
  for path in given.keys() - wanted.keys():
    if path.split('/')[1] not in heads:
      raise UserError(
        f'the pretrained weights do not fit: they have {path}, but the network'
        ' does not; see model.batch_norm_scale and model.squeeze_excite'
      )
  return new_layers


def _layer_of(path: str) -> str:
  """Maps a path such as 'params/Logits/Logits/kernel' to 'Logits/Logits'."""
  scope = path.split('/', 1)[1].rpartition('/')[0]
  return scope.removesuffix('/BatchNorm')

"""Where training starts: a checkpoint, pretrained weights, or neither."""

from collections.abc import Mapping
import dataclasses
import math
import pathlib
from typing import Any

from flax import traverse_util
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from inception import config as config_lib
from inception.checkpoints import Checkpoints, restore_into
from inception.errors import UserError
from inception.modules.network import Inception
from inception.pretrained.load import Loaded, load_variables
from inception.training.state import TrainState, create_state, initial_state

Checkpoint = tuple[dict[str, Any], ml_collections.ConfigDict]


@dataclasses.dataclass(frozen=True)
class Start:
  """What a run starts from; at most one of the two is there.

  Attributes:
    checkpoint: newest good one of the workdir: its tree and its config.
    pretrained: weights of `config.pretrained`.
  """

  checkpoint: Checkpoint | None
  pretrained: Loaded | None


def find_start(
  checkpoints: Checkpoints, config: ml_collections.ConfigDict
) -> Start:
  """Reads the newest good checkpoint, or else the pretrained weights.

  Raises:
    UserError: all checkpoints are damaged; there are no pretrained weights, or
      of another network.
  """
  checkpoint = checkpoints.load_newest_good()
  if checkpoint is not None or config.pretrained is None:
    return Start(checkpoint, None)
  pretrained = load_variables(pathlib.Path(config.pretrained).expanduser())
  theirs = pretrained.config.model.architecture
  if theirs != config.model.architecture:
    raise UserError(
      f'pretrained={config.pretrained} holds {theirs}, the config asks for'
      f' {config.model.architecture}; set --config.model.architecture={theirs}'
    )
  return Start(None, pretrained)


def with_images(
  config: ml_collections.ConfigDict, start: Start
) -> ml_collections.ConfigDict:
  """Returns the config with unset `data.mean` and `data.std` from the start.

  A network that starts from weights has to see images as these weights expect.

  Raises:
    UserError: the weights expect another order of channels.
  """
  source = None
  if start.checkpoint is not None and config.pretrained is not None:
    source = start.checkpoint[1]
  if start.pretrained is not None:
    source = start.pretrained.config
    order = source.data.channel_order
    if order != config.data.channel_order:
      raise UserError(
        f'pretrained={config.pretrained} expects images in {order}; set'
        f' --config.data.channel_order={order}'
      )
  config = config.copy_and_resolve_references()
  if source is not None:
    for name in ('mean', 'std'):
      if config.data[name] is None and source.data[name] is not None:
        config.data[name] = tuple(source.data[name])
  return config.lock()


def make_state(
  start: Start,
  checkpoints: Checkpoints,
  config: ml_collections.ConfigDict,
  model: Inception,
) -> TrainState:
  """Returns the state that training goes on from.

  Raises:
    UserError: the checkpoint has another config, and names the fields; the
      pretrained weights do not fit, and names the parameter.
  """
  if start.checkpoint is not None:
    return _resume(start.checkpoint, checkpoints, config, model)
  state = create_state(config, model)
  if start.pretrained is None:
    return state
  state, new = take_pretrained(state, start.pretrained.variables, model)
  print(f'weights of {config.pretrained}; new: {", ".join(new) or "nothing"}')
  return state


def take_pretrained(
  state: TrainState, variables: Mapping[str, Any], model: Inception
) -> tuple[TrainState, list[str]]:
  """Puts pretrained weights in the place of random ones.

  Layers of heads stay new where a shape differs, as it does for another number
  of classes. Batch norm that has a scale here and none there gets ones,
  which compute the same.

  Args:
    state: before the first step.
    variables: {'params', 'batch_stats'} of the weights.
    model: the network to train.

  Returns:
    The state, and the names of the layers that stayed new.

  Raises:
    UserError: names the first parameter outside of heads that does not fit.
  """
  new = {'params': state.params, 'batch_stats': state.batch_stats}
  wanted = traverse_util.flatten_dict(new, sep='/')
  given = traverse_util.flatten_dict(dict(variables), sep='/')
  heads = ('Logits', *(head.name for head in model.architecture.aux_heads))
  misfits = {
    path: np.shape(given[path]) if path in given else 'not there'
    for path, value in wanted.items()
    if np.shape(given.get(path, math.nan)) != value.shape
    and not (path not in given and path.endswith('BatchNorm/scale'))
  }
  for path, theirs in misfits.items():
    if path.split('/')[1] not in heads:
      raise UserError(
        f'the pretrained weights do not fit: {path} is {wanted[path].shape} in'
        f' the network, and {theirs} in the weights'
      )
  new_layers = {_layer_of(path) for path in misfits}
  taken = {}
  for path, value in wanted.items():
    if _layer_of(path) in new_layers:
      taken[path] = value
    elif path in given:
      taken[path] = jnp.asarray(given[path])
    else:
      taken[path] = jnp.ones_like(value)
  for path in given.keys() - wanted.keys():
    if path.split('/')[1] not in heads:
      raise UserError(
        f'the pretrained weights do not fit: they have {path}, the network has'
        ' not; see model.batch_norm_scale and model.squeeze_excite'
      )
  start = traverse_util.unflatten_dict(taken, sep='/')
  start.setdefault('batch_stats', {})
  # The average must not share memory with what it averages: the step donates.
  ema = state.ema and jax.tree.map(jnp.copy, start)
  state = dataclasses.replace(state, **start, ema=ema)
  return state, sorted(new_layers)


def _layer_of(path: str) -> str:
  """'params/Logits/Logits/kernel' and the like to 'Logits/Logits'."""
  scope = path.split('/', 1)[1].rpartition('/')[0]
  return scope.removesuffix('/BatchNorm')


def _resume(
  checkpoint: Checkpoint,
  checkpoints: Checkpoints,
  config: ml_collections.ConfigDict,
  model: Inception,
) -> TrainState:
  tree, saved_config = checkpoint
  changes = config_lib.differences(saved_config, config)
  if changes:
    raise UserError(
      f'{checkpoints.folder.parent} was started with another config:'
      f' {"; ".join(changes)}. Use another workdir, or the old values'
    )
  target = jax.eval_shape(lambda: initial_state(config, model))
  state = restore_into(target, tree)
  checkpoints.delete_after(int(state.step))
  return state

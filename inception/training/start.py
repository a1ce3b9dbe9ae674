"""Where training starts: a checkpoint, pretrained weights, or neither."""

from collections.abc import Mapping
import dataclasses
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
  source = start.checkpoint[1] if start.checkpoint else None
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
  return take_pretrained(state, start.pretrained.variables, model)


def take_pretrained(
  state: TrainState, variables: Mapping[str, Any], model: Inception
) -> TrainState:
  """Puts pretrained weights in the place of random ones.

  Parameters of heads stay new where the shapes differ, as they do for another
  number of classes. Batch norm that has a scale here and none there gets ones,
  which compute the same.

  Args:
    state: before the first step.
    variables: {'params', 'batch_stats'} of the weights.
    model: the network to train.

  Raises:
    UserError: names the first parameter outside of heads that does not fit.
  """
  new = {'params': state.params, 'batch_stats': state.batch_stats}
  wanted = traverse_util.flatten_dict(new, sep='/')
  given = traverse_util.flatten_dict(dict(variables), sep='/')
  aux = tuple(head.name for head in model.architecture.aux_heads)
  taken = {}
  for path, value in wanted.items():
    in_head = path.split('/')[1] in ('Logits', *aux)
    if path not in given and path.endswith('BatchNorm/scale'):
      taken[path] = jnp.ones_like(value)
    elif path in given and np.shape(given[path]) == value.shape:
      taken[path] = jnp.asarray(given[path])
    elif in_head:
      taken[path] = value
    else:
      shape = np.shape(given[path]) if path in given else 'not there'
      raise UserError(
        f'the pretrained weights do not fit: {path} is {value.shape} in the'
        f' network, and {shape} in the weights'
      )
  for path in given.keys() - wanted.keys():
    if path.split('/')[1] not in ('Logits', *aux):
      raise UserError(
        f'the pretrained weights do not fit: they have {path}, the network has'
        ' not; see model.batch_norm_scale and model.squeeze_excite'
      )
  start = traverse_util.unflatten_dict(taken, sep='/')
  start.setdefault('batch_stats', {})
  # The average must not share memory with what it averages: the step donates.
  ema = state.ema and jax.tree.map(jnp.copy, start)
  return dataclasses.replace(state, **start, ema=ema)


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

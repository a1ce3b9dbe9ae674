"""Reads parts of a checkpoint: its config, its variables, or a whole state."""

from collections.abc import Mapping
import dataclasses
from typing import Any, TypeVar

from flax import serialization, traverse_util
import ml_collections
import numpy as np

from inception import paths
from inception.checkpoints import arrays, choose, store
from inception.errors import UserError

Tree = TypeVar('Tree')


@dataclasses.dataclass(frozen=True)
class Loaded:
  """The variables of a checkpoint for evaluation.

  Attributes:
    step: Training steps taken; 0 for imported weights.
    variables: {'params', 'batch_stats'}, from the moving average if there is
      one; and 'scales' for a quantized network.
    config: Config of the run or of the import.
    scores: Results of the evaluation at that step in training, if any.
  """

  step: int
  variables: dict[str, Any]
  config: ml_collections.ConfigDict
  scores: dict[str, float] = dataclasses.field(default_factory=dict)


def load_variables(folder: paths.Path, step: str = 'latest') -> Loaded:
  """Reads the variables of a checkpoint that evaluation needs.

  Args:
    folder: A folder that `python -m inception.pretrained` wrote, or a run's
      workdir.
    step: A number, 'best' (by top-1 in training) or 'latest'.

  Raises:
    UserError: There is no such checkpoint, or it is damaged. If the latest or
      best one is damaged, this warns and reads the next one.
  """
  _refuse_file(folder)
  with store.Checkpoints(folder) as checkpoints:
    loaded = choose.load_first_good(
      checkpoints, choose.candidates(checkpoints, step)
    )
    scores = checkpoints.scores.of(loaded.step) or {}
  averaged = loaded.state.get('ema') or loaded.state
  variables = {
    'params': averaged['params'],
    'batch_stats': averaged.get('batch_stats', {}),
  }
  if 'scales' in loaded.state:
    variables['scales'] = loaded.state['scales']
  return Loaded(loaded.step, variables, loaded.config, scores)


def load_config(folder: paths.Path) -> ml_collections.ConfigDict:
  """Reads the config of the latest good checkpoint, without its arrays.

  Raises:
    UserError: There are no checkpoints, or all are damaged.
  """
  _refuse_file(folder)
  with store.Checkpoints(folder) as checkpoints:
    return choose.load_first_config(
      checkpoints, choose.candidates(checkpoints, 'latest')
    )


def _refuse_file(folder: paths.Path) -> None:
  if folder.is_file():
    raise UserError(
      f'{folder} is a file; import it into a folder: python -m'
      f' inception.pretrained --file={folder} --output=DIR'
    )


def restore_into(target: Tree, tree: Mapping[str, Any]) -> Tree:
  """Returns a tree with the structure of `target` and the loaded arrays.

  Args:
    target: Tree of arrays or of their shapes.
    tree: Nested dicts, as `Checkpoints.load` returns them.

  Raises:
    UserError: A parameter is missing on one side, or its shape differs; names
      the first one.
  """
  wanted = arrays.flatten(target)
  loaded = arrays.flatten(tree)
  for name in sorted(wanted | loaded):
    if name not in wanted or name not in loaded:
      where = 'checkpoint' if name not in loaded else 'network'
      raise UserError(f'the checkpoint does not fit: the {where} lacks {name}')
    if np.shape(loaded[name]) != np.shape(wanted[name]):
      raise UserError(
        f'the checkpoint does not fit: {name} is {np.shape(loaded[name])},'
        f' the network has {np.shape(wanted[name])}'
      )
  structure = traverse_util.flatten_dict(
    serialization.to_state_dict(target),
    keep_empty_nodes=True,
    sep=arrays.SEPARATOR,
  )
  structure.update(loaded)
  return serialization.from_state_dict(target, arrays.unflatten(structure))

"""Reading what is needed of a checkpoint: a step, variables, a whole state."""

from collections.abc import Mapping
import dataclasses
from typing import Any, TypeVar

from flax import serialization, traverse_util
import ml_collections
import numpy as np

from inception import paths
from inception.checkpoints import arrays, store
from inception.errors import UserError

Tree = TypeVar('Tree')


@dataclasses.dataclass(frozen=True)
class Loaded:
  """The variables of a checkpoint for evaluation.

  Attributes:
    step: Training steps taken; 0 for imported weights.
    variables: {'params', 'batch_stats'}, the moving average where there is one.
    config: Config of the run or of the import.
  """

  step: int
  variables: dict[str, Any]
  config: ml_collections.ConfigDict


def load_variables(folder: paths.Path, step: str = 'latest') -> Loaded:
  """Reads what evaluation needs of a checkpoint.

  Args:
    folder: A folder that `python -m inception.pretrained` wrote, or a run's
      workdir.
    step: A number, 'best' (by top-1 in training) or 'latest'.

  Raises:
    UserError: There is no such checkpoint, or it is damaged. A damaged latest
      or best one is named and the next one taken.
  """
  _refuse_file(folder)
  with store.Checkpoints(folder) as checkpoints:
    loaded = checkpoints.load_first_good(candidates(checkpoints, step))
  averaged = loaded.state.get('ema') or loaded.state
  variables = {
    'params': averaged['params'],
    'batch_stats': averaged.get('batch_stats', {}),
  }
  return Loaded(loaded.step, variables, loaded.config)


def load_config(folder: paths.Path) -> ml_collections.ConfigDict:
  """Reads the config of the latest good checkpoint, without its arrays.

  Raises:
    UserError: There are no checkpoints, or all are damaged.
  """
  _refuse_file(folder)
  with store.Checkpoints(folder) as checkpoints:
    steps = candidates(checkpoints, 'latest')
    return checkpoints.load_first_config(steps)


def _refuse_file(folder: paths.Path) -> None:
  if folder.is_file():
    raise UserError(
      f'{folder} is a file; make a folder of it with python -m'
      f' inception.pretrained --file={folder} --output=DIR'
    )


def candidates(checkpoints: store.Checkpoints, wanted: str) -> list[int]:
  """Returns the steps to try for 'best', 'latest' or a number, in this order.

  Raises:
    UserError: There is no such step; lists the existing ones.
  """
  steps = checkpoints.steps()
  if not steps:
    raise UserError(
      f'no checkpoints in {checkpoints.folder}; train first, or give the'
      ' workdir of a run'
    )
  known = ', '.join(map(str, steps))
  if wanted == 'latest':
    return steps[::-1]
  if wanted == 'best':
    best = checkpoints.by_score()
    if not best:
      raise UserError(
        f'no checkpoint in {checkpoints.folder} has been evaluated yet; use'
        f' latest or one of {known}'
      )
    return best
  if not wanted.isdecimal() or int(wanted) not in steps:
    raise UserError(
      f'step {wanted!r} does not exist in {checkpoints.folder}; there are'
      f' {known}, best and latest'
    )
  return [int(wanted)]


def restore_into(target: Tree, tree: Mapping[str, Any]) -> Tree:
  """Returns a tree of the structure of `target` with the loaded arrays.

  Args:
    target: Tree of arrays or of their shapes.
    tree: Nested dicts, as `Checkpoints.load` returns them.

  Raises:
    UserError: Names the first parameter that is missing on one side, or whose
      shape differs.
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

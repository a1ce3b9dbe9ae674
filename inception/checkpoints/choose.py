"""Chooses a checkpoint: the requested one, or the next undamaged one."""

import ml_collections

from inception import paths
from inception.checkpoints import reading, store
from inception.errors import UserError, warn


def candidates(checkpoints: store.Checkpoints, wanted: str) -> list[int]:
  """Returns the steps to try, in order, for 'best', 'latest' or a number.

  Raises:
    UserError: There is no such step; lists the existing ones.
  """
  workdir = checkpoints.folder.parent
  if not paths.exists(workdir):
    raise UserError(
      f'{workdir} does not exist; give the workdir of a run, a folder of'
      ' imported weights, or a name that python -m inception.pretrained --list'
      ' shows'
    )
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
    best = checkpoints.scores.best_first(checkpoints.steps())
    if not best:
      raise UserError(
        f'no checkpoint in {checkpoints.folder} has been evaluated yet; use'
        f' latest or one of {known}'
      )
    return best
  if not wanted.isdecimal() or int(wanted) not in steps:
    raise UserError(
      f'step {wanted!r} does not exist in {checkpoints.folder}; use latest,'
      f' best or one of {known}'
    )
  return [int(wanted)]


def load_first_good(
  checkpoints: store.Checkpoints, steps: list[int]
) -> reading.Checkpoint:
  """Reads the first undamaged checkpoint; warns about the damaged ones.

  Args:
    checkpoints: Checkpoints of the workdir.
    steps: Steps to try, in this order.

  Raises:
    UserError: All are damaged, or one cannot be read.
  """
  for step in steps:
    try:
      return checkpoints.load(step)
    except reading.DamagedCheckpointError as error:
      if len(steps) == 1:
        raise
      warn(f'{error}; trying the next one')
  raise UserError(
    f'all {len(steps)} checkpoints in {checkpoints.folder} are damaged; use'
    ' another workdir'
  )


def load_first_config(
  checkpoints: store.Checkpoints, steps: list[int]
) -> ml_collections.ConfigDict:
  """Reads the config of the first checkpoint whose header is not damaged.

  Args:
    checkpoints: Checkpoints of the workdir.
    steps: Steps to try, in this order; not empty.

  Raises:
    UserError: All headers are damaged.
  """
  failure = None
  for step in steps:
    try:
      return checkpoints.load_config(step)
    except UserError as error:
      failure = error
  raise UserError(
    f'no checkpoint in {checkpoints.folder} has a readable config: {failure}'
  )

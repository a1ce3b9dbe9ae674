"""Deletes unfinished and old checkpoints, and moves damaged ones away."""

import contextlib
import os
import shutil

from inception import paths
from inception.errors import UserError, warn

# Part of the name that Orbax gives a checkpoint until it is complete.
_UNFINISHED = '.orbax-checkpoint-tmp'


def delete(checkpoint: paths.Path) -> None:
  """Deletes a checkpoint.

  Renames it first, so that a kill leaves nothing that looks like one.
  """
  renamed = checkpoint.with_name(checkpoint.name + _UNFINISHED)
  with contextlib.suppress(OSError):
    os.replace(checkpoint, renamed)
    shutil.rmtree(renamed)


def delete_unfinished(folder: paths.Path) -> None:
  """Deletes checkpoints that a killed run was writing or deleting."""
  for entry in paths.entries(folder):
    if _UNFINISHED in entry.name:
      shutil.rmtree(entry, ignore_errors=True)


def set_aside(checkpoint: paths.Path, folder: paths.Path) -> None:
  """Moves a damaged checkpoint into a folder, with a warning.

  Raises:
    UserError: It cannot be moved.
  """
  target = folder / checkpoint.name
  while target.exists():
    target = target.with_name(target.name + '_')
  try:
    folder.mkdir(exist_ok=True)
    os.replace(checkpoint, target)
  except OSError as error:
    raise UserError(
      f'cannot move the damaged checkpoint {checkpoint} to {folder}:'
      f' {error.strerror}; move it yourself'
    ) from error
  warn(f'checkpoint {checkpoint} was moved to {target}')

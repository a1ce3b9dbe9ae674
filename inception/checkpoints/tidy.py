"""Checkpoints that go: unfinished, old and damaged ones."""

import contextlib
import os
import shutil

from inception import paths
from inception.errors import UserError, warn

# Orbax names a checkpoint so until it is whole.
_UNFINISHED = '.orbax-checkpoint-tmp'


def delete(checkpoint: paths.Path) -> None:
  """Deletes a checkpoint.

  It is renamed first: a kill leaves nothing that looks like a checkpoint.
  """
  renamed = checkpoint.with_name(checkpoint.name + _UNFINISHED)
  with contextlib.suppress(OSError):
    os.replace(checkpoint, renamed)
    shutil.rmtree(renamed)


def delete_unfinished(folder: paths.Path) -> None:
  """Deletes what a killed run was writing or deleting."""
  for entry in paths.entries(folder):
    if _UNFINISHED in entry.name:
      shutil.rmtree(entry, ignore_errors=True)


def set_aside(checkpoint: paths.Path, folder: paths.Path) -> None:
  """Moves a damaged checkpoint into a folder, and says so.

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
      f' {error.strerror}; move it away'
    ) from error
  warn(f'checkpoint {checkpoint} was moved to {target}')

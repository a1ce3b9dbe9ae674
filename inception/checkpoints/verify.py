"""Reads every checkpoint of a workdir and says which are good.

Run:  python -m inception.checkpoints.verify --workdir=runs/digits [--json]

The exit status is 1 if any is damaged.
"""

import os
from typing import Any

from absl import flags

from inception import paths
from inception.cli import commands, outputs, shared
from inception.errors import UserError
from inception.files import json_text


def define_flags() -> None:
  """Defines the flags of this command."""
  flags.DEFINE_string(
    'workdir', None, 'Workdir of a run, or a folder of imported weights.'
  )
  flags.DEFINE_bool('json', False, 'Print one JSON object as the last line.')


def main() -> int:
  """Reads the flags and every checkpoint; returns the exit status."""
  workdir = paths.resolve(shared.require('workdir'))
  found = verify(workdir)
  rows = [
    (
      str(entry['step']),
      f'{entry["bytes"] / 1e6:,.1f} MB',
      ', '.join(f'{k} {v:.4g}' for k, v in (entry['scores'] or {}).items()),
      entry['damage'] or 'good',
    )
    for entry in found
  ]
  print(outputs.format_table(('step', 'size', 'scores', 'state'), rows))
  if flags.FLAGS.json:
    print(json_text.dump({'workdir': str(workdir), 'checkpoints': found}))
  return 1 if any(entry['damage'] for entry in found) else 0


def verify(workdir: paths.Path) -> list[dict[str, Any]]:
  """Reads all checkpoints.

  Args:
    workdir: Workdir of a run, or a folder of imported weights.

  Returns:
    For each checkpoint `step`, `bytes`, `scores` (or None), and `damage`: None
    or what is wrong with it.

  Raises:
    UserError: There are no checkpoints.
  """
  from inception.checkpoints.store import Checkpoints  # Slow to import.

  found = []
  with Checkpoints(workdir) as checkpoints:
    for step in checkpoints.steps():
      damage = scores = None
      try:
        checkpoints.load(step)
        scores = checkpoints.scores.read(step)
      except UserError as error:
        # The path is in the row already.
        damage = str(error).replace(f' {checkpoints.folder / str(step)}', '')
      found.append(
        {
          'step': step,
          'bytes': _size(checkpoints.folder / str(step)),
          'scores': scores,
          'damage': damage,
        }
      )
  if not found:
    raise UserError(
      f'no checkpoints in {checkpoints.folder}; give the workdir of a run'
    )
  return found


def _size(folder: paths.Path) -> int:
  """Returns the size of all files in a folder, in bytes."""
  return sum(
    os.path.getsize(os.path.join(parent, name))
    for parent, _, names in os.walk(folder)
    for name in names
  )


if __name__ == '__main__':
  commands.run(main, define_flags)

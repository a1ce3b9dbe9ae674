"""Full disks give one line and status 2; the resumed run is bit-identical.

Each disk is a tmpfs of the given size. Users who may not mount one get a
namespace in which they may.
"""

from collections.abc import Sequence
import contextlib
import json
import pathlib
import shutil
import subprocess
import sys

from inception.errors import USER_ERROR
from tests import waiting
from tests.chaos import kills

SIZES = ('64k', '128k', '256k', '512k', '1m', '2m', '4m', '8m')
_ARGUMENTS = (
  '--config.num_steps=24',
  '--config.log_every_steps=1',
  '--config.keep_checkpoints=100',
  '--config.checkpoint_every_epochs=0.0111',  # One step.
  '--config.eval_every_epochs=0.0891',  # Eight steps.
)


def in_namespace(arguments: Sequence[str]) -> dict:
  """Runs this part of `python -m tests.chaos` with the right to mount."""
  line = ['unshare', '--map-root-user', '--mount', sys.executable]
  line += ['-m', 'tests.chaos', *arguments]
  done = subprocess.run(line, check=True, capture_output=True, text=True)
  return json.loads(done.stdout.splitlines()[-1])


def run(folder: pathlib.Path, sizes: Sequence[str]) -> dict:
  """Trains on disks of several sizes; returns the exit statuses.

  Raises:
    AssertionError: More than one line, a wrong status, or a wrong result.
  """
  whole = folder / 'roomy' / 'run'
  ((status, _, error),) = waiting.run('train', whole, *_ARGUMENTS)
  assert status == 0, error
  statuses = {}
  for size in sizes:
    with _mounted(folder / f'disk-{size}', size) as disk:
      workdir = disk / 'run'
      ((status, _, error),) = waiting.run('train', workdir, *_ARGUMENTS)
      statuses[size] = status
      if status:
        assert status == USER_ERROR, (size, status, error)
        assert error.count('\n') == 1, (size, error)
        assert error.startswith('error: '), (size, error)
        subprocess.run(
          ['mount', '-o', 'remount,size=64m', str(disk)], check=True
        )
        ((status, _, error),) = waiting.run('train', workdir, *_ARGUMENTS)
      assert (status, error) == (0, ''), (size, error)
      kills.check_equal(workdir, whole)
  assert USER_ERROR in statuses.values(), 'no disk was too small'
  return {'statuses': statuses}


@contextlib.contextmanager
def _mounted(disk: pathlib.Path, size: str):
  disk.mkdir(parents=True)
  subprocess.run(
    ['mount', '-t', 'tmpfs', '-o', f'size={size}', 'tmpfs', str(disk)],
    check=True,
  )
  try:
    yield disk
  finally:
    subprocess.run(['umount', str(disk)], check=True)
    shutil.rmtree(disk)

"""Fault injection, with far more faults than in the test suite.

Run:  python -m tests.chaos --kills=30 --seed=0 [--processes=2] [--parts=kills]

Prints what was done; an AssertionError says which check failed.
"""

import argparse
import json
import os
import pathlib
import tempfile
import time

_PARTS = ('kills', 'damage', 'disks', 'configs', 'sweeps')


def main() -> None:
  """Parses the arguments and runs the parts."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--kills', type=int, default=30)
  parser.add_argument('--cases', type=int, default=300, help='of damage')
  parser.add_argument('--configs', type=int, default=200)
  parser.add_argument('--seed', type=int, default=0)
  parser.add_argument('--processes', type=int, default=1)
  parser.add_argument('--parts', default=','.join(_PARTS))
  parser.add_argument('--folder', type=pathlib.Path)
  arguments = parser.parse_args()
  folder = arguments.folder or pathlib.Path(tempfile.mkdtemp(prefix='chaos-'))
  folder.mkdir(exist_ok=True)
  os.environ.update(
    JAX_PLATFORMS='cpu',
    TF_CPP_MIN_LOG_LEVEL='3',
    JAX_COMPILATION_CACHE_DIR=str(folder / 'cache'),
    JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS='0',
    TFDS_DATA_DIR=str(folder / 'data'),
  )
  from tests.chaos import configs, damage, disks, kills, sweeps

  parts = {
    'kills': lambda: kills.run(
      folder,
      arguments.kills,
      arguments.seed,
      arguments.processes,
    ),
    'damage': lambda: damage.run(folder, arguments.cases, arguments.seed),
    'disks': lambda: (
      disks.run(folder, disks.SIZES)
      if os.geteuid() == 0
      else disks.in_namespace(['--parts=disks', f'--folder={folder}'])
    ),
    'configs': lambda: configs.run(folder, arguments.configs, arguments.seed),
    'sweeps': lambda: sweeps.run(folder, arguments.kills, arguments.seed),
  }
  for name in arguments.parts.split(','):
    begin = time.monotonic()
    result = parts[name]()
    seconds = round(time.monotonic() - begin)
    print(json.dumps({'part': name, **result, 'seconds': seconds}), flush=True)


if __name__ == '__main__':
  main()

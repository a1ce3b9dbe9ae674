"""Time that a sweep adds to each of its runs.

Run:  python -m benchmarks.sweep_overhead [--runs=200] [--seconds=1] [--json]

The runs sleep instead of training, one at a time. Prints the time per run on
top of that: starting it, noticing its end, and writing its records.
"""

import json
import sys
import tempfile
import time

from absl import flags

from inception import paths
from inception.cli import commands
from inception.config import default
from inception.sweeps import grid, hyper, local
from inception.sweeps import sweep_folder as f
from inception.sweeps.process import Place


def define_flags() -> None:
  """Defines the flags of this command."""
  flags.DEFINE_integer('runs', 200, 'Number of runs.', lower_bound=1)
  flags.DEFINE_float('seconds', 1.0, 'Length of a run.')
  flags.DEFINE_bool('json', False, 'Print one JSON object as the last line.')


def main() -> None:
  """Reads the flags and measures."""
  count, seconds = flags.FLAGS.runs, flags.FLAGS.seconds
  sleep = (
    sys.executable,
    '-I',
    '-S',
    '-c',
    f'import time; time.sleep({seconds})',
  )
  base = grid.Base('default.py', 'default.py', default.get_config(), {})
  with tempfile.TemporaryDirectory() as name:
    folder = f.SweepFolder(paths.resolve(name) / 'sweep')
    start = time.monotonic()
    runs = grid.make_runs(base, hyper.sweep('seed', range(count)))
    planned = time.monotonic()
    folder.write(base, runs)
    local.run_all(folder, runs, [Place()], lambda *_: None, command=sleep)
    ended = time.monotonic()
  result = {
    'runs': count,
    'planning_seconds': planned - start,
    'overhead_milliseconds': 1000 * ((ended - planned) / count - seconds),
  }
  print(
    f'{count} runs: planned in {result["planning_seconds"]:.1f} s, then'
    f' {result["overhead_milliseconds"]:.0f} ms per run'
  )
  if flags.FLAGS.json:
    print(json.dumps(result))


if __name__ == '__main__':
  commands.run(main, define_flags)

"""Claim: a restarted run reaches its first step faster.

Run:  python -m benchmarks.startup --config=configs/inception_v3.py
        --config.data.dataset=digits --config.data.eval_split=test
        --config.batch_size=8

Starts train.py with an empty compilation cache, then again to resume the same
run. Prints the start-up times of both, and the ratio of seconds.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from absl import flags

from inception.cli import commands, shared
from inception.errors import UserError

_ROOT = pathlib.Path(__file__).parent.parent


def define_flags() -> None:
  """Defines the flags of this command."""
  shared.define_config(str(_ROOT / 'configs' / 'digits.py'))
  flags.DEFINE_bool('json', False, 'Print one JSON object as the last line.')


def main() -> None:
  """Starts the run twice and prints the figures."""
  given = [flag for flag in sys.argv[1:] if flag.startswith('--config')]
  with tempfile.TemporaryDirectory() as folder:
    seconds = [start(given, pathlib.Path(folder), step) for step in (1, 2)]
  ratio = seconds[0] / seconds[1]
  print(f'first start over second: {ratio:.2f}')
  if flags.FLAGS.json:
    print(json.dumps({'seconds': seconds, 'first_over_second': ratio}))


def start(given: list[str], folder: pathlib.Path, step: int) -> float:
  """Runs train.py up to a step; returns the seconds to its first step.

  The folder holds the workdir and the compilation cache.

  Raises:
    UserError: It failed; its errors have been printed.
  """
  command = [sys.executable, str(_ROOT / 'train.py'), *given]
  command += [f'--workdir={folder / "run"}', f'--stop_at_step={step}']
  environment = os.environ | {
    'JAX_COMPILATION_CACHE_DIR': str(folder / 'compiled')
  }
  done = subprocess.run(
    command, env=environment, stdout=subprocess.PIPE, text=True
  )
  line = re.search(r'first step after ([\d.]+) s.*', done.stdout)
  if done.returncode or line is None:
    raise UserError(f'train.py ended with status {done.returncode}')
  print(line[0], flush=True)
  return float(line[1])


if __name__ == '__main__':
  commands.run(main, define_flags)

"""Claim: the host memory of a training run does not grow.

Run:  python -m benchmarks.host_memory [--images=20000] [--json]

Trains a narrow Inception-v1 on 400 photographs, repeatedly, and prints the
resident memory of the process after 10 % and after 90 % of the images.
"""

import json
import os
import pathlib
import tempfile

from absl import flags
import jax

from configs import digits
from inception.cli import commands

_BATCH_SIZE = 100
_PHOTOGRAPHS = 400


def define_flags() -> None:
  """Defines the flags of this command."""
  flags.DEFINE_integer(
    'images',
    20_000,
    'Images that the run trains on, repeats included.',
    lower_bound=_BATCH_SIZE * 10,
  )
  flags.DEFINE_bool('json', False, 'Print one JSON object as the last line.')


def main() -> None:
  """Trains and prints the memory along the way."""
  with tempfile.TemporaryDirectory() as folder:
    memory = measure(folder, flags.FLAGS.images // _BATCH_SIZE)
  print(f'90 % over 10 %: {memory[90] / memory[10]:.3f}')
  if flags.FLAGS.json:
    print(json.dumps({'at_10': memory[10], 'at_90': memory[90]}))


def measure(folder: str, steps: int) -> dict[int, int]:
  """Trains on photographs, which it writes to an empty folder.

  Returns:
    Resident bytes after 10 and after 90 percent of the steps.
  """
  from benchmarks.photographs import write_photographs
  from benchmarks.steps import train_batches
  from inception.data.sources.catalog import open_source
  from inception.processes import distributed
  from inception.training.build import build

  devices = jax.local_devices()[:1]
  write_photographs(pathlib.Path(folder), _PHOTOGRAPHS)
  config = digits.get_config()
  config.batch_size = _BATCH_SIZE
  config.data.dataset, config.data.data_dir = 'folder', folder
  config.model.num_classes = 2
  config.num_steps = steps
  source = open_source(config.data, 'train')
  training = build(config, devices, source.num_examples)
  state = distributed.replicate(training.initial_state(), devices)
  batches = train_batches(config, devices, source)
  memory = {}
  for step in range(1, steps + 1):
    state, metrics = training.step(state, next(batches))
    jax.block_until_ready(metrics)
    for percent in (10, 90):
      if step == steps * percent // 100:
        memory[percent] = resident_bytes()
        print(f'{percent} %: {memory[percent] / 2**20:,.0f} MiB')
  return memory


def resident_bytes() -> int:
  """Returns the resident memory of this process. Linux only."""
  pages = int(pathlib.Path('/proc/self/statm').read_text().split()[1])
  return pages * os.sysconf('SC_PAGE_SIZE')


if __name__ == '__main__':
  commands.run(main, define_flags)

"""Memory of a training run over 20,000 images: is it flat?

Run:  python -m benchmarks.host_memory [--json]

Trains a narrow Inception-v1 on 400 photographs, over and over, and prints the
resident memory of the process after 10 % and after 90 % of the images.
"""

import json
import os
import pathlib
import tempfile

from absl import flags
import jax

from benchmarks.photographs import write_photographs
from configs import digits
from inception import commands

_BATCH = 100
_PHOTOGRAPHS = 400


def define_flags() -> None:
  """Defines the flags of this command."""
  flags.DEFINE_integer('images', 20_000, 'Of the run.', lower_bound=_BATCH * 10)
  flags.DEFINE_bool('json', False, 'Print one JSON object as the last line.')


def main() -> None:
  """Takes the steps and prints memory on the way."""
  from inception.data import datasets, device, pipeline
  from inception.modules.network import create_model
  from inception.training import state as state_lib
  from inception.training import step as step_lib

  steps = flags.FLAGS.images // _BATCH
  devices = jax.local_devices()[:1]
  with tempfile.TemporaryDirectory() as folder:
    write_photographs(pathlib.Path(folder), _PHOTOGRAPHS)
    config = digits.get_config()
    config.data.dataset, config.data.data_dir = 'folder', folder
    config.model.num_classes = 2
    source = datasets.open_source(config.data, 'train')
    model = create_model(config.model, config.precision, step_lib.AXIS)
    state = device.replicate(state_lib.create_state(config, model), devices)
    train_step = step_lib.make_train_step(
      config, model, lambda _: jax.numpy.float32(0.01), devices
    )
    batches = device.prefetch(
      pipeline.train_batches(
        source, config.data, pipeline.Share(_BATCH, 1), seed=0, first_step=0
      ),
      devices,
    )
    memory = {}
    for step in range(1, steps + 1):
      state, metrics = train_step(state, next(batches))
      jax.block_until_ready(metrics)
      for percent in (10, 90):
        if step == steps * percent // 100:
          memory[percent] = resident_bytes()
          print(f'{percent} %: {memory[percent] / 2**20:,.0f} MiB')
  growth = memory[90] / memory[10]
  print(f'90 % over 10 %: {growth:.3f}')
  if flags.FLAGS.json:
    print(json.dumps({'at_10': memory[10], 'at_90': memory[90]}))


def resident_bytes() -> int:
  """Returns the resident memory of this process; Linux only."""
  pages = int(pathlib.Path('/proc/self/statm').read_text().split()[1])
  return pages * os.sysconf('SC_PAGE_SIZE')


if __name__ == '__main__':
  commands.run(main, define_flags)

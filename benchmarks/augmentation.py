"""What all augmentation on the device adds to a training step.

Run:  python -m benchmarks.augmentation [--batch_size=8] [--json]

The step of inception_v3 at 299 x 299 with and without flip, colour, erasing,
mixup and cutmix: operations by XLA's cost analysis, and seconds in alternating
rounds, each ratio the median of its rounds. The operations tell what a fast
device pays; the seconds are those of this machine.
"""

import json
import statistics
import time
from typing import Any

from absl import flags
import jax
import numpy as np

from configs import default
from inception import commands


def define_flags() -> None:
  """Defines the flags of this command."""
  flags.DEFINE_string('architecture', 'inception_v3', 'Its name.')
  flags.DEFINE_integer('image_size', 299, 'Pixels.', lower_bound=1)
  flags.DEFINE_integer('batch_size', 8, 'Images.', lower_bound=1)
  flags.DEFINE_integer('rounds', 5, 'Of each step, in turn.', lower_bound=1)
  flags.DEFINE_bool('json', False, 'Print one JSON object as the last line.')


def main() -> None:
  """Compiles both steps, takes them in turn, prints the ratios."""
  steps = {
    name: make_step(name == 'augmented') for name in ('plain', 'augmented')
  }
  flops = {
    name: step[0].cost_analysis()['flops'] for name, step in steps.items()
  }
  seconds: dict[str, list[float]] = {name: [] for name in steps}
  states = {name: step[1] for name, step in steps.items()}
  for turn in range(flags.FLAGS.rounds + 1):
    for name, (compiled, _, batch) in steps.items():
      start = time.perf_counter()
      states[name], metrics = compiled(states[name], batch)
      jax.block_until_ready(metrics)
      if turn:  # The first is a warm-up.
        seconds[name].append(time.perf_counter() - start)
  results = {
    'flops_ratio': flops['augmented'] / flops['plain'],
    'seconds_ratio': statistics.median(
      a / b for a, b in zip(seconds['augmented'], seconds['plain'])
    ),
    **{f'{name}_seconds': statistics.median(s) for name, s in seconds.items()},
  }
  for name, value in results.items():
    print(f'{name:18} {value:.4f}')
  if flags.FLAGS.json:
    print(json.dumps({**results, 'device': jax.devices()[0].device_kind}))


def make_step(augmented: bool) -> tuple[Any, Any, Any]:
  """Returns the compiled step, a state and a batch of noise."""
  from inception.data import device
  from inception.modules.network import create_model
  from inception.training import state as state_lib
  from inception.training import step

  values = flags.FLAGS
  config = default.get_config()
  config.model.architecture = values.architecture
  config.model.num_classes = 1000
  config.data.image_size = values.image_size
  config.data.flip = augmented
  if augmented:
    config.data.color, config.data.erase = 1.0, 0.25
    config.data.mixup, config.data.cutmix = 0.2, 1.0
  devices = jax.local_devices()[:1]
  model = create_model(config.model, config.precision, step.AXIS)
  state = device.replicate(state_lib.create_state(config, model), devices)
  side = values.image_size
  generator = np.random.default_rng(0)
  shape = (1, values.batch_size)
  batch = next(
    device.prefetch(
      iter(
        [
          {
            'image': generator.integers(
              0, 256, (*shape, side, side, 3), np.uint8
            ),
            'label': generator.integers(0, 1000, shape, np.int32),
          }
        ]
      ),
      devices,
      depth=1,
    )
  )
  train_step: Any = step.make_train_step(config, model, lambda _: 1e-3, devices)
  return train_step.lower(state, batch).compile(), state, batch


if __name__ == '__main__':
  commands.run(main, define_flags)

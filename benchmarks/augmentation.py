"""Claim: augmentation on the device adds little to a training step.

Run:  python -m benchmarks.augmentation [--batch_size=8] [--json]

Compares the step of inception_v3 at 299 x 299 with and without flip, color
jitter, random erasing, mixup and cutmix: FLOPs from XLA's cost analysis, and
seconds in alternating rounds, as the median of the rounds' ratios. FLOPs show
the cost on a fast device; seconds are measured on this machine.
"""

import json
import statistics
from typing import Any

from absl import flags
import jax

from inception.cli import commands


def define_flags() -> None:
  """Defines the flags of this command."""
  flags.DEFINE_string('architecture', 'inception_v3', 'Name of the network.')
  flags.DEFINE_integer(
    'image_size', 299, 'Image height and width in pixels.', lower_bound=1
  )
  flags.DEFINE_integer('batch_size', 8, 'Images per step.', lower_bound=1)
  flags.DEFINE_integer('rounds', 5, 'Timed steps of each kind.', lower_bound=1)
  flags.DEFINE_bool('json', False, 'Print one JSON object as the last line.')


def main() -> None:
  """Compiles both steps, runs them in turn, prints the ratios."""
  steps = {'plain': make_step(False), 'augmented': make_step(True)}
  flops = {
    name: step.compile().cost_analysis()['flops']
    for name, step in steps.items()
  }
  seconds: dict[str, list[float]] = {name: [] for name in steps}
  for i in range(flags.FLAGS.rounds + 1):
    for name, step in steps.items():
      duration = step.take()
      if i:  # The first round is a warm-up.
        seconds[name].append(duration)
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


def make_step(augmented: bool) -> Any:
  """Returns a `TimedStep`."""
  from benchmarks import steps

  values = flags.FLAGS
  config = steps.make_config(values.architecture, values.batch_size)
  config.data.image_size = values.image_size
  config.data.flip = augmented
  if augmented:
    config.data.color_jitter, config.data.random_erase_prob = 1.0, 0.25
    config.data.mixup_alpha, config.data.cutmix_alpha = 0.2, 1.0
  return steps.make_noise_step(config, jax.local_devices()[:1])


if __name__ == '__main__':
  commands.run(main, define_flags)

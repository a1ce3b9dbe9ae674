"""Claim: the training loop costs at most 5 % over the bare compiled step.

Run:  python -m benchmarks.training_loop [--json]

Both run the same step on the same noise. The loop adds the host pipeline,
prefetching, metrics and logging. They alternate, and the medians of their
speeds are compared.
"""

from collections.abc import Callable
import json
import pathlib
import statistics
import tempfile

from absl import flags
import jax
import ml_collections

from inception.cli import commands, shared

_CONFIG = pathlib.Path(__file__).parent.parent / 'configs' / 'digits.py'


def define_flags() -> None:
  """Defines the flags of this command."""
  shared.define_config(str(_CONFIG))
  flags.DEFINE_integer('rounds', 5, 'Alternating rounds.', lower_bound=1)
  flags.DEFINE_integer('steps', 40, 'Steps per round.', lower_bound=1)
  flags.DEFINE_bool('json', False, 'Print one JSON object as the last line.')


def main() -> None:
  """Prints both speeds in images per second, and their ratio."""
  config = flags.FLAGS.config.copy_and_resolve_references()
  rounds, steps = flags.FLAGS.rounds, flags.FLAGS.steps
  config.data.dataset = 'fake'
  config.model.num_classes = 1000
  config.num_steps = 10**6
  config.log_every_steps = max(1, steps // 4)
  bare, loop = [], []
  measure_bare_step = make_bare_step(config)
  for _ in range(rounds):
    bare.append(measure_bare_step(steps))
    loop.append(measure_loop(config, steps))
  results = {
    'bare': statistics.median(bare),
    'loop': statistics.median(loop),
    'loop_over_bare': statistics.median(loop) / statistics.median(bare),
    'device': jax.devices()[0].device_kind,
  }
  for name, value in results.items():
    print(f'{name}: {value if isinstance(value, str) else round(value, 3)}')
  if flags.FLAGS.json:
    print(json.dumps(results))


def make_bare_step(
  config: ml_collections.ConfigDict,
) -> Callable[[int], float]:
  """Compiles the step on a batch that stays on the devices.

  Returns:
    A function from a number of steps to images per second.
  """
  from benchmarks import steps

  timed = steps.make_noise_step(config, jax.local_devices())
  timed.take()  # Compiles.
  return lambda count: config.batch_size * count / timed.take(count)


def measure_loop(config: ml_collections.ConfigDict, steps: int) -> float:
  """Returns images per second of `train.py`, from the metrics it logs.

  The first interval, in which the loop starts, does not count; neither do
  compilation and the checkpoint at the end.
  """
  from inception.observing import metrics
  from inception.training import loop

  with tempfile.TemporaryDirectory() as folder:
    workdir = pathlib.Path(folder)
    loop.train(config, workdir, stop_at_step=steps + config.log_every_steps)
    rows = metrics.read_rows(workdir)
  speeds = [row['images_per_second'] for row in rows if row['split'] == 'train']
  # Intervals have the same number of steps, so the mean speed is harmonic.
  return statistics.harmonic_mean(speeds[1:])


if __name__ == '__main__':
  commands.run(main, define_flags)

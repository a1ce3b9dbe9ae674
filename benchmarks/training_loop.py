"""Claim: the training loop costs at most 5 % over the bare compiled step.

Run: python -m benchmarks.training_loop [--json]

Both take the same step on the same noise; the loop adds the host pipeline's
hand-over, prefetching, metrics and logging. They alternate, and the medians of
their speeds are compared.
"""

import json
import pathlib
import statistics
import tempfile
import time

from absl import flags
import jax
import ml_collections

from inception import commands


def define_flags() -> None:
  """Defines the flags of this command."""
  commands.define_config(
    str(pathlib.Path(__file__).parent.parent / 'configs' / 'digits.py')
  )
  flags.DEFINE_integer('rounds', 5, 'Alternating rounds.', lower_bound=1)
  flags.DEFINE_integer('steps', 40, 'Steps per round.', lower_bound=1)
  flags.DEFINE_bool('json', False, 'Print one JSON object as the last line.')


def main() -> None:
  """Measures and prints both speeds in images per second, and their ratio."""
  config = flags.FLAGS.config.copy_and_resolve_references()
  rounds, steps = flags.FLAGS.rounds, flags.FLAGS.steps
  config.data.dataset = 'fake'
  config.model.num_classes = 1000
  config.num_steps = 10**6
  config.log_every_steps = max(1, steps // 4)
  bare, loop = [], []
  for _ in range(rounds):
    bare.append(measure_bare_step(config, steps))
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


def measure_bare_step(config: ml_collections.ConfigDict, steps: int) -> float:
  """Returns images per second of the step on a batch that stays on devices."""
  from inception.data import datasets, device, pipeline
  from inception.modules.network import create_model
  from inception.training import schedule as schedule_lib
  from inception.training.state import create_state
  from inception.training.step import AXIS, make_train_step

  devices = jax.local_devices()
  source = datasets.open_source(config.data, 'train')
  share = pipeline.Share(config.batch_size, len(devices))
  batches = pipeline.train_batches(source, config.data, share, config.seed, 0)
  batch = next(device.prefetch(batches, devices))
  duration = schedule_lib.make_duration(config, source.num_examples)
  schedule = schedule_lib.make_schedule(
    config.schedule, config.batch_size, duration
  )
  model = create_model(config.model, config.precision, AXIS)
  state = create_state(config, model)
  state = device.replicate(state, devices)
  step = make_train_step(config, model, schedule, devices)
  state, _ = step(state, batch)  # Compiles.
  jax.block_until_ready(state)
  start = time.perf_counter()
  for _ in range(steps):
    state, _ = step(state, batch)
  jax.block_until_ready(state)
  return config.batch_size * steps / (time.perf_counter() - start)


def measure_loop(config: ml_collections.ConfigDict, steps: int) -> float:
  """Returns images per second of `train.py`, from the log that it writes.

  The first interval, in which the loop starts, is left out; so are the
  checkpoint at the end and compilation.
  """
  from inception.analysis import curves
  from inception.training import loop

  every = config.log_every_steps
  with tempfile.TemporaryDirectory() as folder:
    workdir = pathlib.Path(folder)
    loop.train(config, workdir, stop_at_step=steps + every)
    rows = curves.read_rows(workdir)[1:]
  # Intervals are equally long in steps: the mean speed is harmonic.
  return statistics.harmonic_mean([row['images_per_second'] for row in rows])


if __name__ == '__main__':
  commands.run(main, define_flags)

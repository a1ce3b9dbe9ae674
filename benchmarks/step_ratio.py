"""Claim: our step is faster than a plain one, on the local devices.

Run:  python -m benchmarks.step_ratio --architecture=inception_v3 --json

Times training and inference in one process: ours; plain Linen, by XLA's own
convolutions and poolings, with its default options; and other projects, if
installed. The order of each round is random, as a program affects the time of
the next one. Prints the ratios of median seconds, ours over each, and the
images per second of all.
"""

from collections.abc import Callable
import contextlib
import json
import random
import statistics
import time
from typing import Any
from unittest import mock

from absl import flags
import jax
import jax.numpy as jnp

from benchmarks import peers  # Before TensorFlow; see there.

# isort: split
from benchmarks.steps import make_config, make_noise_step
from inception import create_model
from inception.architectures import get_architecture
from inception.cli import commands
from inception.modules import (
  compiler_options,
  conv_gradient,
  convolution,
  pooling,
)


def define_flags() -> None:
  """Defines the flags of this command."""
  flags.DEFINE_string('architecture', 'inception_v3', 'Name of the network.')
  flags.DEFINE_string('precision', 'float32', 'float32, bfloat16 or float16.')
  flags.DEFINE_integer('batch_size', 16, 'Images per step.', lower_bound=1)
  flags.DEFINE_list(
    'peers',
    ['torchvision', 'torchvision_compiled', 'timm', 'onnxruntime'],
    'Other projects to time, if installed.',
  )
  flags.DEFINE_integer('rounds', 6, 'Timed runs of each.', lower_bound=1)
  flags.DEFINE_bool('json', False, 'Print one JSON object as the last line.')


def main() -> None:
  """Times all programs and prints the figures."""
  values = flags.FLAGS
  results: dict[str, Any] = {'device': jax.local_devices()[0].device_kind}
  for what, make in (('training', _training), ('inference', _inference)):
    runs = {'ours': make(fuse=True)}
    with _by_xla_alone():
      runs['plain'] = make(fuse=False)  # Compiles too.
    size = get_architecture(values.architecture).input_size
    case = (values.architecture, values.precision, values.batch_size, size)
    for name, make_peer in peers.installed(what).items():
      if name in values.peers and (run := make_peer(*case)) is not None:
        run()  # Warm-up.
        runs[name] = run
    results[what] = _compare(runs)
    print(what, results[what], flush=True)
  if values.json:
    print(json.dumps(results))


@contextlib.contextmanager
def _by_xla_alone() -> Any:
  """Makes programs compiled inside use only XLA's own kernels."""
  with (
    mock.patch.object(pooling, 'max_pool', pooling.plain_max_pool),
    mock.patch.object(pooling, 'avg_pool', pooling.plain_avg_pool),
    mock.patch.object(
      convolution, 'convolution', conv_gradient.plain_convolution
    ),
    mock.patch.object(compiler_options, 'for_network', lambda *_: {}),
  ):
    yield


def _training(fuse: bool) -> Callable[[], object]:
  values = flags.FLAGS
  config = make_config(values.architecture, values.batch_size, values.precision)
  config.model.fuse = fuse
  step = make_noise_step(config, jax.local_devices())
  step.take()
  return step.take


def _inference(fuse: bool) -> Callable[[], object]:
  values = flags.FLAGS
  model = create_model(
    values.architecture, precision=values.precision, fuse=fuse
  )
  size = model.architecture.input_size
  images = jnp.zeros((values.batch_size, size, size, 3))
  variables = jax.jit(model.init)(jax.random.key(0), images[:1])
  run = jax.jit(
    lambda v, x: model.apply(v, x).logits,
    compiler_options=compiler_options.for_network(model.architecture, size),
  )
  jax.block_until_ready(run(variables, images))
  return lambda: jax.block_until_ready(run(variables, images))


def _compare(
  runs: dict[str, Callable[[], object]],
) -> dict[str, float]:
  seconds: dict[str, list[float]] = {name: [] for name in runs}
  order = random.Random(0)
  for _ in range(flags.FLAGS.rounds):
    for name in order.sample(list(runs), len(runs)):
      seconds[name].append(_time(runs[name]))
  medians = {name: statistics.median(times) for name, times in seconds.items()}
  ratios = {
    f'ours_over_{name}': medians['ours'] / median
    for name, median in medians.items()
    if name != 'ours'
  }
  rows = flags.FLAGS.batch_size
  speeds = {
    f'{name}_images_per_second': rows / median
    for name, median in medians.items()
  }
  return ratios | speeds


def _time(run: Callable[[], object]) -> float:
  run()  # Slower after the program of another project.
  start = time.perf_counter()
  run()
  return time.perf_counter() - start


if __name__ == '__main__':
  commands.run(main, define_flags)

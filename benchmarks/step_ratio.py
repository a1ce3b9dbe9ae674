"""Claim: our step is faster than plain Linen, on the devices that are here.

Run:  python -m benchmarks.step_ratio --architecture=inception_v3 --json

Times training and inference in turns, in one process: as `model.fuse` runs
them, and as Flax's own convolutions and poolings would. Prints the median
ratios of seconds, ours over plain, and the images per second of both.
"""

from collections.abc import Callable
import contextlib
import json
import statistics
import time
from typing import Any
from unittest import mock

from absl import flags
import jax
import jax.numpy as jnp

from benchmarks.steps import make_noise_step
from inception import commands, create_model
from inception.architectures import get_architecture
from inception.config import default
from inception.modules import conv_gradient, convolution, pooling


def define_flags() -> None:
  """Defines the flags of this command."""
  flags.DEFINE_string('architecture', 'inception_v3', 'Name of the network.')
  flags.DEFINE_string('precision', 'float32', 'Arithmetic.')
  flags.DEFINE_integer('batch_size', 16, 'Images per step.', lower_bound=1)
  flags.DEFINE_integer('rounds', 6, 'Times that each runs.', lower_bound=1)
  flags.DEFINE_bool('json', False, 'Print one JSON object as the last line.')


def main() -> None:
  """Times both ways and prints the figures."""
  results: dict[str, Any] = {'devices': jax.local_devices()[0].device_kind}
  for what, make in (('training', _training), ('inference', _inference)):
    ours = make(fuse=True)
    with _plain_linen():
      plain = make(fuse=False)  # Compiles too.
    results[what] = _compare(ours, plain)
    print(what, results[what], flush=True)
  if flags.FLAGS.json:
    print(json.dumps(results))


@contextlib.contextmanager
def _plain_linen() -> Any:
  """Lets programs that are compiled inside use what Flax and XLA have."""
  with (
    mock.patch.object(pooling, 'max_pool', pooling.plain_max_pool),
    mock.patch.object(pooling, 'avg_pool', pooling.plain_avg_pool),
    mock.patch.object(
      convolution, 'convolution', conv_gradient.plain_convolution
    ),
  ):
    yield


def _training(fuse: bool) -> Callable[[], object]:
  values = flags.FLAGS
  config = default.get_config()
  config.model.architecture = values.architecture
  config.model.num_classes = 1000
  config.model.fuse = fuse
  config.data.dataset = 'fake'
  config.data.image_size = get_architecture(values.architecture).input_size
  config.precision = values.precision
  config.batch_size = values.batch_size
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
  run = jax.jit(lambda v, x: model.apply(v, x).logits)
  jax.block_until_ready(run(variables, images))
  return lambda: jax.block_until_ready(run(variables, images))


def _compare(
  ours: Callable[[], object], plain: Callable[[], object]
) -> dict[str, float]:
  seconds = [(_time(ours), _time(plain)) for _ in range(flags.FLAGS.rounds)]
  rows = flags.FLAGS.batch_size
  mine, theirs = zip(*seconds)
  return {
    'ours_over_plain': statistics.median(a / b for a, b in seconds),
    'ours_images_per_second': rows / statistics.median(mine),
    'plain_images_per_second': rows / statistics.median(theirs),
  }


def _time(run: Callable[[], object]) -> float:
  start = time.perf_counter()
  run()
  return time.perf_counter() - start


if __name__ == '__main__':
  commands.run(main, define_flags)

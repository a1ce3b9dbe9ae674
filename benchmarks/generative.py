"""Claim: measuring a generator costs little more than the network.

Run:  python -m benchmarks.generative --json
      python -m benchmarks.generative --plot=docs/generative.png

Prints images/s of the bare network, of an update of the evaluator, and of
torch-fidelity, if it is installed; the time of resizing and of the statistics;
the resident memory after 1,000 and 20,000 images; and the seconds of the last
steps. --plot draws metrics against the number of images instead.
"""

from collections.abc import Callable
import json
import os
import statistics
import time
from typing import Any

from absl import flags
import jax
import jax.numpy as jnp
import numpy as np

from inception.cli import commands, outputs
from inception.generative import (
  collector,
  extractor,
  frechet,
  generator_images,
  kernels,
  manifold,
  modes,
  moments,
  sliced,
)
from inception.generative.evaluator import Evaluator
from inception.modules.create import create_model

_SIDE, _SIZE, _CLASSES = 256, 2048, 1008
_KID_IMAGES, _ALL = 5000, 50_000
_SEED = 0


def define_flags() -> None:
  """Defines the flags of this command."""
  flags.DEFINE_integer('batch_size', 64, 'Images per update.', lower_bound=1)
  flags.DEFINE_integer('rounds', 5, 'Timed runs of each.', lower_bound=1)
  flags.DEFINE_string('plot', None, 'Picture to draw, such as a .png.')
  flags.DEFINE_bool('json', False, 'Print one JSON object as the last line.')


def main() -> None:
  """Measures, and prints the figures; or draws."""
  if flags.FLAGS.plot is not None:
    draw(str(flags.FLAGS.plot))
    return
  results: dict[str, Any] = {'device': jax.local_devices()[0].device_kind}
  results |= _speed() | _memory() | _last_steps()
  print('\n'.join(f'{name}: {value}' for name, value in results.items()))
  if flags.FLAGS.json:
    print(json.dumps(results))


def _random_network() -> extractor.Extractor:
  model = create_model(extractor.ARCHITECTURE)
  image = np.zeros((1, modes.SIDE, modes.SIDE, 3), np.float32)
  variables = jax.jit(model.init)(jax.random.key(_SEED), image)
  return extractor.of_variables(variables)


def _speed() -> dict[str, float]:
  """Times the network alone, an update, and its parts, in turns."""
  batch_size = flags.FLAGS.batch_size
  of = _random_network()
  state = np.random.RandomState(_SEED)
  shape = (batch_size, _SIDE, _SIDE, 3)
  pixels = state.randint(0, 256, shape).astype(np.uint8)
  evaluator = Evaluator(of)  # IS: it keeps logits, and statistics for FID.
  prepared = jax.device_put(modes.prepare(jnp.asarray(pixels)))
  bare = jax.jit(of.function, compiler_options=of.options)
  resize = jax.jit(modes.prepare)
  features = jnp.asarray(
    state.standard_normal((batch_size, _SIZE)), jnp.float32
  )
  add = jax.jit(moments.add)
  empty = moments.empty(_SIZE)

  def update() -> Any:
    evaluator.update(pixels)
    return evaluator._collector._state

  runs: dict[str, Callable[[], Any]] = {
    'network': lambda: bare(of.variables, prepared)['pool3'],
    'update': update,
    'resize': lambda: resize(pixels),
    'statistics': lambda: add(empty, features),
  }
  if peer := _torch_fidelity(pixels):
    runs['torch_fidelity'] = peer
  seconds = _in_turns(runs)
  found = {
    f'{name}_images_per_second': batch_size / seconds[name]
    for name in seconds
    if name not in ('resize', 'statistics')
  }
  return found | {
    'update_over_network': seconds['network'] / seconds['update'],
    'resize_share': seconds['resize'] / seconds['update'],
    'statistics_share': seconds['statistics'] / seconds['update'],
  }


def _in_turns(runs: dict[str, Callable[[], Any]]) -> dict[str, float]:
  """Returns the median seconds of each function; the first call compiles."""
  times: dict[str, list[float]] = {name: [] for name in runs}
  for _ in range(flags.FLAGS.rounds + 1):
    for name, run in runs.items():
      jax.block_until_ready(run())  # After another program, a call is slower.
      start = time.perf_counter()
      jax.block_until_ready(run())
      times[name].append(time.perf_counter() - start)
  return {name: statistics.median(x[1:]) for name, x in times.items()}


def _torch_fidelity(pixels: np.ndarray) -> Callable[[], Any] | None:
  """Returns torch-fidelity's extractor on the same images, if installed."""
  try:
    import torch
    from torch_fidelity import feature_extractor_inceptionv3 as theirs
  except ImportError:
    return None
  theirs.FeatureExtractorInceptionV3.load_state_dict = lambda *_: None
  theirs.torch.load = lambda *_, **__: {}
  network = theirs.FeatureExtractorInceptionV3(
    'inception-v3-compat', ['2048'], feature_extractor_weights_path=os.devnull
  )
  network.eval()
  images = torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())

  def run() -> None:
    with torch.no_grad():
      network(images)

  return run


def _memory() -> dict[str, float]:
  """Returns the resident memory after 1,000 and 20,000 images, in MiB."""

  def function(variables: Any, images: jax.Array) -> jax.Array:
    del variables
    return jnp.resize(images / 255, (len(images), _SIZE))

  takes = collector.Collector(extractor.custom('resized', function))
  state = np.random.RandomState(_SEED)
  found = {}
  for count in (1000, 20_000):
    while takes.seen < count:
      images = state.randint(0, 256, (100, 32, 32, 3)).astype(np.uint8)
      takes.take(generator_images.local_batch(images, takes.devices))
    jax.block_until_ready(takes._state)
    found[f'mib_after_{count}'] = _resident_bytes() / 2**20
  return found


def _resident_bytes() -> int:
  with open('/proc/self/statm') as file:
    return int(file.read().split()[1]) * os.sysconf('SC_PAGE_SIZE')


def _last_steps() -> dict[str, float]:
  """Times what follows the features, at 5,000 images; estimates 50,000."""
  sides = _features(0, _KID_IMAGES), _features(1, _KID_IMAGES)
  one, other = map(frechet.of_features, sides)
  steps: dict[str, Callable[[], Any]] = {
    'fid': lambda: frechet.frechet_distance(one, other),
    'kid': lambda: kernels.kernel_distance(*sides),
    'kid_of_all': lambda: kernels.kernel_distance_of_all(*sides),
    'precision_recall': lambda: manifold.precision_recall(*sides),
    'mind': lambda: sliced.monge_distance(*sides),
  }
  found = {}
  for name, step in steps.items():
    start = time.perf_counter()
    step()
    found[f'{name}_seconds'] = time.perf_counter() - start
  more = (_ALL / _KID_IMAGES) ** 2  # Pairs.
  for name in ('kid_of_all', 'precision_recall'):
    found[f'{name}_seconds_of_50000'] = found[f'{name}_seconds'] * more
  return found


def _features(
  seed: int, count: int, size: int = _SIZE, shift: float = 0
) -> np.ndarray:
  """Returns features like real ones: not negative, with a heavy tail."""
  state = np.random.RandomState(seed)
  z = state.standard_normal((count, size))
  z = (z + np.roll(z, 1, axis=1)) / np.sqrt(2)
  return np.maximum(0.4 * np.exp(0.5 * z + shift) - 0.1, 0).astype(np.float32)


def draw(path: str) -> None:
  """Draws metrics of one generator against the number of its images."""
  size, most = 64, 4000
  real = _features(0, most, size)
  generated = _features(1, most, size, 0.05)
  known = frechet.of_features(real)
  counts = [50, 100, 200, 400, 1000, 2000, 4000]
  curves = {
    'FID': lambda x: frechet.frechet_distance(frechet.of_features(x), known),
    'KID': lambda x: kernels.kernel_distance_of_all(x, real),
    'MIND': lambda x: sliced.monge_distance(x, real),
  }
  figure = outputs.figure(7, 3.2)
  axes = figure.subplots()
  for name, curve in curves.items():
    values = np.array([curve(generated[:count]) for count in counts])
    axes.plot(counts, values / values[-1], 'o-', label=name)
  axes.set_xscale('log')
  axes.set_xlabel('generated images')
  axes.set_ylabel(f'value / value of {most:,} images')
  axes.axhline(1, color='gray', linewidth=0.5)
  axes.legend()
  outputs.save(figure, outputs.picture(path, '--plot'))


if __name__ == '__main__':
  commands.run(main, define_flags)

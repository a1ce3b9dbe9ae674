"""Time to compile a training step with residual towers unrolled and scanned.

Run:  python -m benchmarks.compile_time --architecture=inception_resnet_v2

Prints seconds of tracing and of compiling for one device, the ratio, and the
size of the optimised program. Figures are of this machine and its load.
"""

import functools
import json
import time
from typing import Any

from absl import flags
import jax
import numpy as np

from configs import default
from inception import commands


def define_flags() -> None:
  """Defines the flags of this command."""
  flags.DEFINE_string('architecture', 'inception_resnet_v2', 'Its name.')
  flags.DEFINE_integer('image_size', 299, 'Pixels.', lower_bound=1)
  flags.DEFINE_integer('batch_size', 8, 'Images.', lower_bound=1)
  flags.DEFINE_bool('json', False, 'Print one JSON object as the last line.')


def compile_step(scan_blocks: bool) -> dict[str, Any]:
  """Compiles the training step; returns seconds and the program's size."""
  from inception.modules.network import create_model
  from inception.training import state, step

  values = flags.FLAGS
  config = default.get_config()
  config.model.architecture = values.architecture
  config.model.scan_blocks = scan_blocks
  config.model.num_classes = 1000
  config.data.image_size = values.image_size
  model = create_model(config.model, config.precision, step.AXIS)
  shapes = jax.eval_shape(functools.partial(state.initial_state, config, model))
  side = values.image_size
  batch = {
    'image': jax.ShapeDtypeStruct(
      (1, values.batch_size, side, side, 3), np.uint8
    ),
    'label': jax.ShapeDtypeStruct((1, values.batch_size), np.int32),
  }
  train_step: Any = step.make_train_step(
    config, model, lambda _: 0.1, jax.local_devices()[:1]
  )
  start = time.perf_counter()
  lowered = train_step.lower(shapes, batch)
  traced = time.perf_counter()
  compiled = lowered.compile()
  return {
    'trace_seconds': traced - start,
    'compile_seconds': time.perf_counter() - traced,
    'program_characters': len(compiled.as_text()),
  }


def main() -> None:
  """Compiles both ways, one after the other, and prints the figures."""
  results: dict[str, Any] = {'architecture': flags.FLAGS.architecture}
  for name, scan_blocks in (('unrolled', False), ('scanned', True)):
    results[name] = compile_step(scan_blocks)
    print(name, results[name])
  totals = [
    results[name]['trace_seconds'] + results[name]['compile_seconds']
    for name in ('unrolled', 'scanned')
  ]
  results['unrolled_over_scanned'] = totals[0] / totals[1]
  print(f'unrolled over scanned: {results["unrolled_over_scanned"]:.2f}')
  if flags.FLAGS.json:
    print(json.dumps(results))


if __name__ == '__main__':
  commands.run(main, define_flags)

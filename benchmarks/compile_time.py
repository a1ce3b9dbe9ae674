"""Claim: a training step compiles faster with scanned residual blocks.

Run:  python -m benchmarks.compile_time --architecture=inception_resnet_v2

Prints the seconds that tracing and compiling for one device take with blocks
unrolled and scanned, their ratio, and the size of the optimized program. The
seconds depend on this machine and its load.
"""

import json
import time
from typing import Any

from absl import flags
import jax
import numpy as np

from inception.cli import commands


def define_flags() -> None:
  """Defines the flags of this command."""
  flags.DEFINE_string(
    'architecture', 'inception_resnet_v2', 'Name of the network.'
  )
  flags.DEFINE_integer(
    'image_size', 299, 'Image height and width in pixels.', lower_bound=1
  )
  flags.DEFINE_integer('batch_size', 8, 'Images per step.', lower_bound=1)
  flags.DEFINE_bool('json', False, 'Print one JSON object as the last line.')


def main() -> None:
  """Compiles both steps, one after the other, and prints the figures."""
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


def compile_step(scan_blocks: bool) -> dict[str, Any]:
  """Compiles the training step; returns its seconds and the program's size."""
  from benchmarks.steps import make_config
  from inception.training import check
  from inception.training.build import build

  values = flags.FLAGS
  config = make_config(values.architecture, values.batch_size)
  config.model.scan_blocks = scan_blocks
  config.data.image_size = values.image_size
  devices = jax.local_devices()[:1]
  check.check_run(config, devices)
  training = build(config, devices, num_examples=10_000)
  side = values.image_size
  batch = {
    'image': jax.ShapeDtypeStruct(
      (1, values.batch_size, side, side, 3), np.uint8
    ),
    'label': jax.ShapeDtypeStruct((1, values.batch_size), np.int32),
  }
  step = training.step
  state = training.abstract_state  # Traced here, so not in the timed part.
  start = time.perf_counter()
  lowered = step.compiled.mapped.lower(step.seed, state, batch)
  traced = time.perf_counter()
  compiled = lowered.compile(step.compiled.options)
  return {
    'trace_seconds': traced - start,
    'compile_seconds': time.perf_counter() - traced,
    'program_characters': len(compiled.as_text()),
  }


if __name__ == '__main__':
  commands.run(main, define_flags)

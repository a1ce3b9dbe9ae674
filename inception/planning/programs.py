"""Compiles the step of a run ahead of time; needs no chip."""

from collections.abc import Sequence
import dataclasses
import re
import time
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections

from inception.errors import UserError, reason
from inception.evaluation.evaluate import eval_program
from inception.modules import compiler_options
from inception.predict.predictor import make_predictor
from inception.processes.device_program import DeviceProgram
from inception.training import check, limits
from inception.training.build import build
from inception.training.recipe.step import step_program

# The compiler's messages when a program does not fit into memory.
_TOO_LARGE = (
  r'(?P<needed>[\d.]+)(?P<unit>[KMGT])\) exceeds available HBM',
  r'Used (?P<needed>[\d.]+)(?P<unit>[KMGT]) of',
)


@dataclasses.dataclass(frozen=True)
class Compiled:
  """A program compiled for one of several identical devices.

  Attributes:
    text: The optimized program; None if it does not fit into memory.
    seconds: Compile time on this machine.
    peak_bytes: Peak memory use; None if the compiler does not report it.
    flops: Operations that the compiler counts, two per multiply-accumulate; or
      None.
    bytes_moved: Bytes accessed, including fast memory, as it counts; or None.
  """

  text: str | None
  seconds: float
  peak_bytes: int | None
  flops: float | None = None
  bytes_moved: float | None = None


def make_program(
  config: ml_collections.ConfigDict, num_examples: int, what: str, count: int
) -> tuple[DeviceProgram, tuple[Any, ...]]:
  """Makes the step of a run.

  Args:
    config: A config with `model.num_classes` set.
    num_examples: Examples per epoch.
    what: 'train' or 'eval'.
    count: Number of devices that a batch is split over.

  Returns:
    The per-device program, and the global shapes and dtypes of its arguments.

  Raises:
    UserError: A field is wrong, or the batch cannot be split.
  """
  check.check(config)
  if config.batch_size % count:
    raise UserError(
      f'batch_size={config.batch_size} cannot be split over {count} chips;'
      f' try --batch_size={count * max(1, config.batch_size // count)}'
    )
  if what == 'train':
    limits.check_parts(config, count)
  side, rows = config.data.image_size, config.batch_size // count
  batch = {
    'image': _shape(jnp.uint8, count, rows, side, side, 3),
    'label': _shape(jnp.int32, count, rows),
  }
  training = build(config, (), num_examples)
  state = training.abstract_state
  if what == 'train':
    return step_program(training.recipe), (_shape(jnp.int32), state, batch)
  batch['mask'] = _shape(jnp.float32, count, rows)
  predictor = make_predictor(training.model, config.data)
  return eval_program(predictor), (state.eval_variables(), batch)


def compile_for(
  program: DeviceProgram, arguments: Sequence[Any], devices: Sequence[Any]
) -> Compiled:
  """Compiles a program for devices that `devices.describe` returns.

  The arguments are global shapes and dtypes.

  Raises:
    UserError: The compiler fails for a reason other than memory.
  """
  lowered = program.shard_map(devices).lower(*arguments)
  start = time.perf_counter()
  try:
    options = compiler_options.without_device(devices[0].platform)
    compiled = lowered.compile(options)
  except jax.errors.JaxRuntimeError as error:
    seconds = time.perf_counter() - start
    return Compiled(None, seconds, _needed_bytes(str(error)))
  cost = compiled.cost_analysis() or {}
  return Compiled(
    text=compiled.as_text(),
    seconds=time.perf_counter() - start,
    peak_bytes=peak_bytes(compiled.memory_analysis()),
    flops=cost.get('flops'),
    bytes_moved=cost.get('bytes accessed'),
  )


def _shape(dtype: Any, *shape: int) -> jax.ShapeDtypeStruct:
  return jax.ShapeDtypeStruct(shape, dtype)


def peak_bytes(memory: Any) -> int:
  """Returns the bytes of arguments, results, temporary arrays and code."""
  return (
    memory.argument_size_in_bytes
    + memory.output_size_in_bytes
    - memory.alias_size_in_bytes
    + memory.temp_size_in_bytes
    + memory.generated_code_size_in_bytes
  )


def _needed_bytes(message: str) -> int | None:
  """Returns the bytes needed, if given; raises if memory is not the cause."""
  for pattern in _TOO_LARGE:
    if match := re.search(pattern, message):
      power = 'KMGT'.index(match['unit']) + 1
      return int(float(match['needed']) * 1024**power)
  if 'RESOURCE_EXHAUSTED' in message:
    return None
  raise UserError(f'the compiler failed: {reason(message)}')

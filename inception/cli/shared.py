"""Flags that several commands share, and functions that read them."""

from collections.abc import Callable
import os
import pathlib
import sys
from typing import Any

from absl import flags
from ml_collections import config_flags

from inception import paths
from inception.cli import outputs
from inception.errors import UserError, reason, warn

# The config of the demo, used by commands that are given none.
DEMO = str(pathlib.Path(__file__).parents[1] / 'config' / 'demo.py')


def define_config(default_file: str | None) -> None:
  """Defines --config=FILE.py[:ARGUMENT] and --config.FIELD=VALUE."""
  config_flags.DEFINE_config_file(
    'config', default_file, 'Config file; its fields can be overridden.'
  )


def use_compilation_cache() -> None:
  """Enables JAX's persistent compilation cache.

  Its folder is JAX_COMPILATION_CACHE_DIR, by default `compiled` in
  `paths.cache`; an empty variable disables it.
  """
  if 'JAX_COMPILATION_CACHE_DIR' in os.environ:
    return
  folder = os.fspath(paths.cache() / 'compiled')
  try:
    os.makedirs(folder, exist_ok=True)
  except OSError as error:
    warn(
      f'cannot cache compiled programs in {folder}: {reason(error)};'
      ' set JAX_COMPILATION_CACHE_DIR to another folder'
    )
    return
  os.environ['JAX_COMPILATION_CACHE_DIR'] = folder
  # JAX reads the variable when imported, which may have happened already.
  if jax := sys.modules.get('jax'):
    jax.config.update('jax_compilation_cache_dir', folder)


def define_processes() -> None:
  """Defines the flags of commands that may run as several processes."""
  flags.DEFINE_string(
    'coordinator',
    None,
    'host:port of process 0 in a run of several processes; by default from'
    ' JAX_COORDINATOR_ADDRESS or the cluster.',
  )
  flags.DEFINE_integer(
    'num_processes',
    None,
    'Number of processes of the run; 1 ignores the cluster.',
    lower_bound=1,
  )
  flags.DEFINE_integer(
    'process_id', None, 'Index of this process, from 0.', lower_bound=0
  )


def define_workdir() -> None:
  """Defines --workdir of commands that read weights."""
  flags.DEFINE_string(
    'workdir',
    None,
    'Workdir of a run, a folder of imported weights, or the name of published'
    ' weights, such as inception_v3.tv_in1k.',
  )


def define_batch_size(default: int | None, description: str) -> None:
  """Defines --batch_size, with the range of the config field."""
  flags.DEFINE_integer('batch_size', default, description, 1, 2**20)


def define_crops() -> None:
  """Defines --crops."""
  flags.DEFINE_enum(
    'crops',
    '1',
    ['1', '10', '12', '144'],
    'Crops per image to average over, mirror images included.',
  )


def define_calibration() -> None:
  """Defines the flags of commands that quantize a network to int8."""
  flags.DEFINE_integer(
    'calibration_images',
    None,
    'Number of training images to calibrate int8 scales on; 256 if unset.',
    lower_bound=1,
  )
  flags.DEFINE_string(
    'calibration',
    None,
    'How int8 ranges are chosen: max, percentile or mse (the default).',
  )
  flags.DEFINE_list(
    'float_layers', None, 'Layers that stay in float32: first, classifier.'
  )


def calibration() -> dict[str, Any]:
  """Returns the fields of `quantize.Calibration` that flags set."""
  values = flags.FLAGS
  given = {
    'images': values.calibration_images,
    'method': values.calibration,
    'keep': values.float_layers and tuple(values.float_layers),
  }
  return {name: value for name, value in given.items() if value is not None}


def define_fraction(name: str, default: float | None, description: str) -> None:
  """Defines a flag for a number from 0 to 1."""
  flags.DEFINE_float(name, default, description, 0.0, 1.0)


def require(name: str, example: str = 'runs/digits') -> str:
  """Returns the value of a required flag.

  Args:
    name: Name of the flag.
    example: A value to propose in the error.

  Raises:
    UserError: The flag was not given.
  """
  value = flags.FLAGS[name].value
  if not value:
    raise UserError(f'--{name} is missing; try --{name}={example}')
  return value


def output(
  name: str,
  check: Callable[[str, str], paths.Path] = outputs.resolve,
) -> paths.Path | None:
  """Returns the file that a flag names; None if it is unset.

  Args:
    name: Name of the flag.
    check: A function of `outputs`, called with the value and the flag.

  Raises:
    UserError: The file cannot be written.
  """
  value = getattr(flags.FLAGS, name)
  return None if value is None else check(value, f'--{name}')

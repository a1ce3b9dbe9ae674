"""The conventions that every command keeps: flags, errors, exit status, tables.

An error that the user can fix is one line on standard error and exit status 2.
Anything else is a bug and shows its traceback.
"""

from collections.abc import Callable, Sequence
import io
import math
import os
import pathlib
import re
import signal
import sys
from typing import Any
import warnings

from absl import app, flags, logging
from ml_collections import config_flags

from inception import paths
from inception.cli import outputs
from inception.errors import (
  FULL,
  USER_ERROR,
  UserError,
  is_users,
  one_line,
  reason,
  warn,
)

# The config of the demonstration, for commands that are given none.
DEMO = str(pathlib.Path(__file__).parents[1] / 'config' / 'demo.py')

_FIELD = re.compile(r'config(\.[A-Za-z_]\w*)+')
_LONGEST = 4096  # Of the system's paths.
_LARGEST = 2**31 - 1  # Of JAX's integers.


def run(
  main: Callable[[], int | None], define_flags: Callable[[], None]
) -> None:
  """Defines and parses flags, runs `main`, and exits with its status.

  Args:
    main: The command; reads `flags.FLAGS` and returns an exit status or None.
    define_flags: Defines the command's flags.
  """
  # Ctrl-C ends a command without a traceback; training asks for more.
  signal.signal(signal.SIGINT, signal.SIG_DFL)
  if isinstance(sys.stdout, io.TextIOWrapper):
    # A path that is not Unicode is printed as its bytes.
    sys.stdout.reconfigure(errors='surrogateescape')
  app.run(
    lambda _: _exit_status(main),
    flags_parser=lambda argv: _parse(define_flags, argv),
  )


def define_config(default_file: str | None) -> None:
  """Defines --config=FILE.py[:ARGUMENT] and --config.FIELD=VALUE."""
  config_flags.DEFINE_config_file(
    'config', default_file, 'Config file; its fields can be overridden.'
  )


def use_compilation_cache() -> None:
  """Lets JAX keep compiled programs for the next start.

  In the folder that JAX_COMPILATION_CACHE_DIR names, nowhere if it is empty,
  and by default in ~/.cache/inception/compiled.
  """
  if 'JAX_COMPILATION_CACHE_DIR' in os.environ:
    return
  caches = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
  folder = os.path.join(caches, 'inception', 'compiled')
  try:
    os.makedirs(folder, exist_ok=True)
  except OSError as error:
    warn(
      f'compiled programs are not kept for the next start: {folder}:'
      f' {reason(error)}; name a folder in JAX_COMPILATION_CACHE_DIR'
    )
    return
  os.environ['JAX_COMPILATION_CACHE_DIR'] = folder
  # JAX reads the variable at its import, which may be over.
  if jax := sys.modules.get('jax'):
    jax.config.update('jax_compilation_cache_dir', folder)


def define_processes() -> None:
  """Defines the flags of commands that may run as several processes."""
  flags.DEFINE_string(
    'coordinator',
    None,
    'host:port of process 0, where a run has several processes. Unset: as'
    ' JAX_COORDINATOR_ADDRESS or the cluster says.',
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


def define_batch_size(default: int | None, description: str) -> None:
  """Defines --batch_size, with the range of the config field."""
  flags.DEFINE_integer('batch_size', default, description, 1, 2**20)


def define_crops() -> None:
  """Defines --crops."""
  flags.DEFINE_enum(
    'crops',
    '1',
    ['1', '10', '12', '144'],
    'Squares of each picture, with their mirror images, that are averaged.',
  )


def define_calibration() -> None:
  """Defines the flags of commands that turn a network into an int8 one."""
  flags.DEFINE_integer(
    'calibration_images',
    None,
    'Training images that show how large activations are; 256 if unset.',
    lower_bound=1,
  )
  flags.DEFINE_string(
    'calibration',
    None,
    'How the largest activation is chosen: max, percentile or mse (if unset).',
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
    check: Of `outputs`; called with the value and the flag.

  Raises:
    UserError: The file cannot be written.
  """
  value = getattr(flags.FLAGS, name)
  return None if value is None else check(value, f'--{name}')


def format_table(
  heading: Sequence[str], rows: Sequence[Sequence[str | int]]
) -> str:
  """Returns aligned columns, the first to the left; integers get separators."""
  cells = [
    [x if isinstance(x, str) else f'{x:,}' for x in row]
    for row in (heading, *rows)
  ]
  widths = [max(map(len, column)) for column in zip(*cells)]
  return '\n'.join(
    '  '.join(
      [row[0].ljust(widths[0])]
      + [x.rjust(width) for x, width in zip(row[1:], widths[1:])]
    ).rstrip()
    for row in cells
  )


def _exit_status(main: Callable[[], int | None]) -> int:
  try:
    return main() or 0
  except UserError as error:
    return _report(error)
  except BrokenPipeError:
    # The reader has seen enough, such as `head`. Python would complain again
    # when it closes standard output.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 128 + signal.SIGPIPE
  except MemoryError as error:
    return _report(f'not enough memory: {reason(error)}; use a smaller batch')
  except OSError as error:
    if not is_users(error):
      raise
    if error.errno in FULL:
      return _report(f'{error}; free some space and start again')
    return _report(f'{os.fsdecode(error.filename)}: {error.strerror}')


def _parse(
  define_flags: Callable[[], None], argv: Sequence[str]
) -> Sequence[str]:
  try:
    _check_config(argv)
    define_flags()
    others = flags.FLAGS(argv)[1:]
    if others:
      raise UserError(f'unexpected argument {others[0]!r}; flags begin with --')
    _check_values()
    if not flags.FLAGS['verbosity'].present:
      # Orbax and TFDS log every detail; what matters is raised.
      logging.set_verbosity(logging.ERROR)
    if 'config' in flags.FLAGS and flags.FLAGS['config'].value is not None:
      # A config file that failed to load raises when it is first read.
      flags.FLAGS.config.lock()
    _use_onednn()
  except (UserError, OSError) as error:
    sys.exit(_report(error))
  except flags.Error as error:
    # The error of a config file contains its whole traceback.
    place, traceback, rest_of_it = str(error).partition('Error whilst parsing')
    last = rest_of_it.strip().split('\n')[-1]
    sys.exit(_report(place + last.strip() if traceback else place))
  except (IndexError, SyntaxError, TypeError, ValueError) as error:
    sys.exit(_report(f'a config field cannot be set: {reason(error)}'))
  except (AttributeError, KeyError) as error:
    # ml_collections raises these for an unknown field. The message is the
    # argument: str() of a KeyError is its repr.
    text = error.args[0]
    while isinstance(text, Exception):
      text = text.args[0]
    sys.exit(
      _report(
        f'no such config field: {text} See inception/config/default.py for'
        ' all fields.'
      )
    )
  return argv


def _check_config(argv: Sequence[str]) -> None:
  """Checks what libraries would read, or fail at in words of their own.

  Raises:
    UserError: The config is not a file, a part of a field is set, or an
      argument is far too long.
  """
  for argument, following in zip(argv, (*argv[1:], '')):
    if len(max(argument.split(','), key=len)) > _LONGEST:
      raise UserError(
        f'{argument[:40]}... has more than {_LONGEST:,} letters without a comma'
      )
    name, is_one, value = argument.lstrip('-').partition('=')
    if name == 'config':
      file = (value if is_one else following).partition(':')[0]
      if os.path.exists(file) and not os.path.isfile(file):
        raise UserError(f'--config={file} is not a file')
    elif name.startswith('config.') and not _FIELD.fullmatch(name):
      raise UserError(
        f'--{name}: fields are set as a whole, such as --config.model.width=0.5'
      )


def _check_values() -> None:
  """Refuses values that no flag takes; fields of configs have own checks.

  Raises:
    UserError: A value is empty, not finite, or too large an integer.
  """
  for name, given in flags.FLAGS.flag_values_dict().items():
    if not flags.FLAGS[name].present or name.startswith('config.'):
      continue
    # A list may be empty: none of what is there by default.
    for value in given if isinstance(given, list) else [given]:
      if value == '':
        raise UserError(f'--{name} is empty; give a value, or leave it out')
      if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f'--{name}={value} is not a finite number')
      if isinstance(value, int) and abs(value) > _LARGEST:
        raise UserError(f'--{name}={value} is too large')


def _use_onednn() -> None:
  """Lets XLA call oneDNN on CPUs where 16-bit numbers are asked for.

  Their convolutions take half the time or less; see docs/speed.md. XLA reads
  this when it finds its devices. Where it is set already, that stays.
  """
  values = flags.FLAGS.flag_values_dict()
  config = values.get('config') or {}
  asked = {values.get('precision'), config.get('precision')}
  asked.update(values.get('precisions') or ())
  name = '--xla_cpu_experimental_onednn_custom_call'
  given = os.environ.get('XLA_FLAGS', '')
  if name not in given and not asked.isdisjoint(('bfloat16', 'float16')):
    os.environ['XLA_FLAGS'] = f'{given} {name}=true'.strip()
    # XLA cannot store such programs; JAX would say so for each.
    warnings.filterwarnings(
      'ignore', 'Error writing persistent compilation cache'
    )


def _report(error: Exception | str) -> int:
  text = re.sub(r'--config\.[\w.]+', _own_flag, one_line(str(error)))
  print('error:', text, file=sys.stderr)
  return USER_ERROR


def _own_flag(match: re.Match[str]) -> str:
  """Spells a config field the way this command does, `--data_dir`."""
  name = match[0].rpartition('.')[2]
  if 'config' in flags.FLAGS or name not in flags.FLAGS:
    return match[0]
  return f'--{name}'

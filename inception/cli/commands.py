"""Conventions of all commands: flags, errors, exit status.

An error that the user can fix is one line on standard error and exit status 2.
Anything else is a bug and shows its traceback.
"""

from collections.abc import Callable, Sequence
import io
import math
import os
import re
import signal
import sys

from absl import app, flags, logging

from inception.cli import near_misses
from inception.cli.help_text import help_text
from inception.errors import (
  FULL,
  USER_ERROR,
  UserError,
  is_users,
  one_line,
  reason,
)

_HELP = {'-h', '-help', '--help', '--helpfull', '--helpshort'}
_FIELD = re.compile(r'config(\.[A-Za-z_]\w*)+')
_LONGEST = 4096  # PATH_MAX on Linux.
_LARGEST = 2**31 - 1  # Largest int32, JAX's default integer.


def run(
  main: Callable[[], int | None], define_flags: Callable[[], None]
) -> None:
  """Defines and parses flags, runs `main`, and exits with its status.

  Args:
    main: The command; reads `flags.FLAGS` and returns an exit status or None.
    define_flags: Defines the command's flags.
  """
  # Ctrl-C ends a command without a traceback; training overrides this.
  signal.signal(signal.SIGINT, signal.SIG_DFL)
  # XLA logs compilations that take minutes as errors, with advice to file a
  # bug. Before JAX is imported, which reads this. Real errors are raised.
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  if isinstance(sys.stdout, io.TextIOWrapper):
    # A path that is not Unicode is printed as its bytes.
    sys.stdout.reconfigure(errors='surrogateescape')
  app.run(
    lambda _: _exit_status(main),
    flags_parser=lambda argv: _parse(define_flags, argv),
  )


def _exit_status(main: Callable[[], int | None]) -> int:
  try:
    return main() or 0
  except UserError as error:
    return _report(error)
  except BrokenPipeError:
    # The reader, such as `head`, has closed the pipe. Python would fail again
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
    before = set(flags.FLAGS)
    define_flags()
    if not _HELP.isdisjoint(argv[1:]):
      print(help_text([name for name in flags.FLAGS if name not in before]))
      sys.exit()
    others = flags.FLAGS(argv)[1:]
    if others:
      raise UserError(f'unexpected argument {others[0]!r}; flags begin with --')
    _check_values()
    if not flags.FLAGS['verbosity'].present:
      # Orbax and TFDS log every detail; errors are raised.
      logging.set_verbosity(logging.ERROR)
    if 'config' in flags.FLAGS and flags.FLAGS['config'].value is not None:
      # A config file that failed to load raises when it is first read.
      flags.FLAGS.config.lock()
  except (UserError, OSError) as error:
    sys.exit(_report(error))
  except flags.UnrecognizedFlagError as error:
    hint = near_misses.field(error.flagname) if 'config' in flags.FLAGS else ''
    sys.exit(_report(f'{error}{hint}'))
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
        f'no such config field: {near_misses.unknown_field(argv) or text} See'
        ' inception/config/default.py for all fields.'
      )
    )
  return argv


def _check_config(argv: Sequence[str]) -> None:
  """Checks arguments that libraries would reject with unclear messages.

  Raises:
    UserError: The config is not a file, only part of a field is set, or an
      argument is far too long.
  """
  for argument, following in zip(argv, (*argv[1:], '')):
    if len(max(argument.split(','), key=len)) > _LONGEST:
      raise UserError(
        f'{argument[:40]}... has over {_LONGEST:,} characters without a comma'
      )
    name, is_one, value = argument.lstrip('-').partition('=')
    if name == 'config':
      file = (value if is_one else following).partition(':')[0]
      if not os.path.isfile(file):
        what = 'is not a file' if os.path.exists(file) else 'does not exist'
        hint = near_misses.config_file(file)
        raise UserError(f'--config={file} {what}{hint}')
    elif name.startswith('config.') and not _FIELD.fullmatch(name):
      raise UserError(
        f'--{name}: fields are set as a whole, such as --config.model.width=0.5'
      )


def _check_values() -> None:
  """Rejects values that no flag accepts; config fields have their own checks.

  Raises:
    UserError: A value is empty, not finite, or too large an integer.
  """
  for name, given in flags.FLAGS.flag_values_dict().items():
    if not flags.FLAGS[name].present or name.startswith('config.'):
      continue
    # A list may be empty, to drop its default.
    for value in given if isinstance(given, list) else [given]:
      if value == '':
        raise UserError(f'--{name} is empty; give a value, or leave it out')
      if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f'--{name}={value} is not a finite number')
      if isinstance(value, int) and abs(value) > _LARGEST:
        raise UserError(f'--{name}={value} does not fit in 32 bits')


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

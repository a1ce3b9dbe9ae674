"""The convention that every command keeps: flags, errors, exit status.

An error that the user can mend is one line on standard error and exit status 2;
anything else is a bug and shows its traceback.
"""

from collections.abc import Callable, Sequence
import errno
import sys

from absl import app, flags, logging
from ml_collections import config_flags

from inception.errors import UserError


def run(
  main: Callable[[], int | None], define_flags: Callable[[], None]
) -> None:
  """Defines and parses flags, runs `main`, and exits with its status.

  Args:
    main: the command; reads `flags.FLAGS`, returns an exit status or None.
    define_flags: defines the command's flags.
  """
  app.run(
    lambda _: _exit_status(main),
    flags_parser=lambda argv: _parse(define_flags, argv),
  )


def define_config(default_file: str) -> None:
  """Defines --config=FILE.py[:ARGUMENT] and --config.FIELD=VALUE."""
  config_flags.DEFINE_config_file(
    'config', default_file, 'The config to run; its fields can be overridden.'
  )


def require(name: str, example: str = 'runs/digits') -> str:
  """Returns the value of a flag that must be given.

  Args:
    name: of the flag.
    example: a value for the error to propose.

  Raises:
    UserError: it was not.
  """
  value = flags.FLAGS[name].value
  if not value:
    raise UserError(f'--{name} is missing; try --{name}={example}')
  return value


def _exit_status(main: Callable[[], int | None]) -> int:
  try:
    return main() or 0
  except UserError as error:
    return _report(error)
  except OSError as error:
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
      raise
    return _report(f'{error}; free some space and start again')


def _parse(
  define_flags: Callable[[], None], argv: Sequence[str]
) -> Sequence[str]:
  try:
    define_flags()
    others = flags.FLAGS(argv)[1:]
    if others:
      raise UserError(f'unexpected argument {others[0]!r}; flags begin with --')
    if not flags.FLAGS['verbosity'].present:
      # Orbax and TFDS tell every detail; what matters comes as an exception.
      logging.set_verbosity(logging.ERROR)
    if 'config' in flags.FLAGS:
      # A config file that failed to load says so when it is first read.
      flags.FLAGS.config.lock()
  except (UserError, OSError) as error:
    sys.exit(_report(error))
  except flags.Error as error:
    # A config file that fails is reported with its whole traceback inside.
    place, traceback, rest_of_it = str(error).partition('Error whilst parsing')
    last = rest_of_it.strip().split('\n')[-1]
    sys.exit(_report(place + last.strip() if traceback else place))
  except (AttributeError, KeyError) as error:
    # What ml_collections raises for a field that the config does not have; the
    # message is the argument, since str() of a KeyError is its repr.
    reason = error.args[0]
    while isinstance(reason, Exception):
      reason = reason.args[0]
    sys.exit(
      _report(f'no such config field: {reason} See configs/default.py for all.')
    )
  return argv


def _report(error: Exception | str) -> int:
  print('error:', ' '.join(str(error).split()), file=sys.stderr)
  return 2

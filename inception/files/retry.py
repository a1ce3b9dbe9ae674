"""Retries of failed reads, such as from a network disk."""

from collections.abc import Callable
import time
from typing import TypeVar

from inception.errors import UserError, warn
from inception.paths import NotAFileError

Value = TypeVar('Value')

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0  # Seconds.

# Not worth retrying, unless the file was there before.
PERMANENT = (
  FileNotFoundError,
  IsADirectoryError,
  NotADirectoryError,
  PermissionError,
  NotAFileError,
)


def retry(
  action: Callable[[], Value],
  name: str,
  seconds: float,
  but: tuple[type[OSError], ...] = (),
) -> Value:
  """Returns the result of an action that reads a file, with retries.

  Args:
    action: Raises OSError if the file cannot be read.
    name: The file, for messages.
    seconds: How long to retry, with growing pauses.
    but: Errors that are not retried.

  Raises:
    UserError: The file could not be read.
  """
  latest = time.monotonic() + seconds
  pause = _FIRST_PAUSE
  while True:
    try:
      return action()
    except OSError as error:
      reason = f'cannot read {name}: {error.strerror or error}'
      if isinstance(error, but):
        raise UserError(reason) from error
      if time.monotonic() + pause > latest:
        raise UserError(f'{reason}; tried for {seconds:g} s') from error
      if pause == _FIRST_PAUSE:
        warn(f'{reason}; trying again')
    time.sleep(pause)
    pause = min(2 * pause, _LONGEST_PAUSE)

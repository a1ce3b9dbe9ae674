"""Errors the user can fix, warnings, and the exit statuses of commands."""

from collections.abc import Iterator, Mapping, Sequence
import contextlib
import errno
import os
import sys
from typing import TypeVar

Value = TypeVar('Value')


# Exit status after an error the user can fix.
USER_ERROR = 2
# Exit status after a fault that a restart may fix: a hang, or the loss of
# another process. sysexits.h calls it EX_TEMPFAIL.
RESTART = 75
# `errno` values for a full disk, which the user can fix.
FULL = (errno.ENOSPC, errno.EDQUOT)
_LONGEST = 255  # Characters of a word in a message; most paths are shorter.


class UserError(Exception):
  """One line: what is wrong and how to fix it. Commands exit with status 2."""


def warn(message: str) -> None:
  """Prints a one-line warning to standard error."""
  print('warning:', one_line(message), file=sys.stderr, flush=True)


def one_line(message: str) -> str:
  """Returns a message as one line, with long words shortened."""
  words = (
    word if len(word) <= _LONGEST else f'{word[:_LONGEST]}...'
    for word in message.split()
  )
  return ' '.join(words)


def count(number: int, noun: str) -> str:
  """Returns '1 image', '1,000 images', '2 entries' or '2 classes'."""
  if number != 1:
    if noun.endswith('y'):
      noun = f'{noun[:-1]}ie'
    noun = f'{noun}es' if noun.endswith('s') else f'{noun}s'
  return f'{number:,} {noun}'


def are(number: int) -> str:
  """Returns 'is' for 1, otherwise 'are'."""
  return 'is' if number == 1 else 'are'


def is_users(error: OSError) -> bool:
  """True if the user can fix this error of the operating system.

  The disk is full, or the file or folder that the error names is unusable.
  """
  return error.errno in FULL or error.filename is not None


def reason(error: BaseException | str | None) -> str:
  """Returns the text of a library's error, short enough for a message."""
  if isinstance(error, OSError) and error.strerror:
    return error.strerror
  text = str(error).strip() or type(error).__name__
  return text.split('\n')[0][:200]


def some(names: Sequence[str], most: int = 3) -> str:
  """Returns the first few names for a message, separated by commas."""
  return ', '.join(names[:most]) + (', ...' if len(names) > most else '')


@contextlib.contextmanager
def standard_error_closed() -> Iterator[int]:
  """Discards output to standard error, including that of C++ code.

  Yields:
    A file descriptor of the original standard error.
  """
  sys.stderr.flush()
  kept = os.dup(2)
  nowhere = os.open(os.devnull, os.O_WRONLY)
  os.dup2(nowhere, 2)
  try:
    yield kept
  finally:
    os.dup2(kept, 2)
    os.close(kept)
    os.close(nowhere)


def lookup(choices: Mapping[str, Value], name: str | None, field: str) -> Value:
  """Returns `choices[name]`.

  Args:
    choices: Values by name.
    name: The given name.
    field: The field it was given for, such as 'optimizer.name'.

  Raises:
    UserError: The name is unknown; lists the known ones.
  """
  if name is None or name not in choices:
    raise UserError(f'{field}={name!r} is not one of {", ".join(choices)}')
  return choices[name]

"""The exception for errors the user can fix: names, paths, sizes, values."""

from collections.abc import Mapping
from typing import TypeVar

Value = TypeVar('Value')


class UserError(Exception):
  """One line: what is wrong and how to fix it. Commands exit with status 2."""


def lookup(choices: Mapping[str, Value], name: str | None, field: str) -> Value:
  """Returns `choices[name]`.

  Args:
    choices: Values by name.
    name: The name that was given.
    field: What the name was given for, such as 'optimizer.name'.

  Raises:
    UserError: The name is unknown; lists the known ones.
  """
  if name is None or name not in choices:
    raise UserError(f'{field}={name!r} is not one of {", ".join(choices)}')
  return choices[name]

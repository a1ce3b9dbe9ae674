"""JSON as this project writes and reads it, and JSON with a digest.

Non-finite numbers are written as null: NaN and Infinity are not valid JSON, and
strict parsers reject them.
"""

from collections.abc import Mapping
import hashlib
import json
import math
from typing import Any

from inception import paths
from inception.errors import UserError

Fields = dict[str, Any]

_DIGEST = 'digest'


def dump(tree: Any, indent: int | None = None) -> str:
  """Returns a tree as JSON text; non-finite numbers become null."""
  return json.dumps(_finite(tree), indent=indent, allow_nan=False)


def load(text: str | bytes) -> Any:
  """Parses JSON text.

  Raises:
    ValueError: It is not JSON, or nested too deeply.
  """
  try:
    return json.loads(text)
  except RecursionError as error:
    raise ValueError('it is nested too deeply') from error


def read(path: paths.Path) -> Any:
  """Reads a JSON file.

  Raises:
    UserError: It cannot be read, or is not JSON.
  """
  content = paths.read_bytes(path)
  try:
    return load(content)
  except ValueError as error:
    raise UserError(f'{path} is not JSON: {error}') from error


def seal(fields: Mapping[str, Any]) -> Fields:
  """Returns fields with their digest."""
  fields = _finite(fields)
  return {**fields, _DIGEST: _digest(fields)}


def unseal(sealed: Mapping[str, Any], name: str) -> Fields:
  """Returns the fields without their digest.

  Args:
    sealed: Result of `seal`, as read back from a file.
    name: Name of the fields in the error.

  Raises:
    ValueError: The digest is missing or wrong.
  """
  fields = {k: v for k, v in sealed.items() if k != _DIGEST}
  if sealed.get(_DIGEST) != _digest(fields):
    raise ValueError(f'{name} differs from what was written')
  return fields


def is_sealed(fields: Mapping[str, Any]) -> bool:
  """True if fields have a digest."""
  return _DIGEST in fields


def _digest(fields: Mapping[str, Any]) -> str:
  text = json.dumps(fields, sort_keys=True)
  return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _finite(tree: Any) -> Any:
  """Returns a tree with None in place of non-finite numbers."""
  if isinstance(tree, Mapping):
    return {name: _finite(value) for name, value in tree.items()}
  if isinstance(tree, list | tuple):
    return [_finite(value) for value in tree]
  is_number = isinstance(tree, float)
  return None if is_number and not math.isfinite(tree) else tree

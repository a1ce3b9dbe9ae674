"""Partially downloaded files, each with the version of the file.

The version is the ETag or date that the host gives. It is recorded before the
first byte: a part without a version is never resumed.
"""

import os

from inception import paths


def size(part: paths.Path) -> int:
  """Returns the number of bytes received so far."""
  return os.path.getsize(part) if part.exists() else 0


def version(url: str, part: paths.Path) -> str | None:
  """Returns the version of a part; None if it cannot be resumed."""
  file = _version_file(part)
  if not file.exists():
    return None
  written_for, _, found = paths.read_text(file).partition('\n')
  return found if written_for == url else None


def begin(url: str, part: paths.Path, version: str | None) -> None:
  """Deletes a part, and records the version of the next one."""
  discard(part)
  if version is not None:
    paths.write_atomically(_version_file(part), f'{url}\n{version}')


def discard(part: paths.Path) -> None:
  """Deletes a part and its recorded version."""
  part.unlink(missing_ok=True)
  _version_file(part).unlink(missing_ok=True)


def _version_file(part: paths.Path) -> paths.Path:
  return part.with_name(f'{part.name}.version')

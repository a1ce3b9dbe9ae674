"""The part of a download that has arrived, and of which version of the file.

The version is what identifies it to its host, an ETag or a date. It is written
before the first byte: a part without it is never gone on with.
"""

import os

from inception import paths


def size(part: paths.Path) -> int:
  """Returns the number of bytes that have arrived."""
  return os.path.getsize(part) if part.exists() else 0


def version(url: str, part: paths.Path) -> str | None:
  """Returns the version that a part is of; None if it cannot be resumed."""
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
  """Deletes a part, and what is known of it."""
  part.unlink(missing_ok=True)
  _version_file(part).unlink(missing_ok=True)


def _version_file(part: paths.Path) -> paths.Path:
  return part.with_name(f'{part.name}.version')

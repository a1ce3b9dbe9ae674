"""Files that the system cannot read, which says nothing about their content."""

import errno
import os

from inception import paths
from inception.errors import UserError

# A missing file, or something else in its place, is damage.
_DAMAGE = (
  errno.ENOENT,
  errno.ENOTDIR,
  errno.EISDIR,
  errno.EINVAL,
  errno.ELOOP,
)


def failed(error: Exception) -> bool:
  """True if the system could not read a file, whatever its content is."""
  return isinstance(error, OSError) and error.errno not in (None, *_DAMAGE)


def not_readable(what: str, error: Exception) -> UserError:
  """Returns the error for the user; `failed` is true for `error`."""
  return UserError(f'cannot read {what}: {getattr(error, "strerror", error)}')


def read_all(folder: paths.Path) -> None:
  """Reads every file of a folder.

  Raises:
    OSError: The system cannot read one.
  """

  def check(error: OSError) -> None:
    if failed(error):
      raise error

  for parent, _, names in os.walk(folder, onerror=check):
    for name in names:
      try:
        with paths.open_file(os.path.join(parent, name)) as file:
          while file.read(2**20):
            pass
      except OSError as error:
        check(error)

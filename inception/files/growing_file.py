"""An append-only file of records, such as a metrics log."""

import errno
import os

from inception import paths


class GrowingFile:
  """An append-only file with no partial records, even on a full disk."""

  def __init__(self, path: paths.Path):
    """Opens a file for appending; creates it if missing; raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    self._descriptor = os.open(path, flags, 0o644)
    self._waiting = b''

  def append(self, record: bytes) -> None:
    """Appends a record, after earlier ones that could not be written.

    Raises:
      OSError: It cannot be written. The file is unchanged, and the next call
        tries again.
    """
    self._waiting += record
    size = os.fstat(self._descriptor).st_size
    try:
      written = os.write(self._descriptor, self._waiting)
      if written < len(self._waiting):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError:
      os.ftruncate(self._descriptor, size)
      raise
    self._waiting = b''

  def close(self) -> None:
    """Closes the file."""
    os.close(self._descriptor)

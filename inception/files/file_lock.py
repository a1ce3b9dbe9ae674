"""A file lock, for work that only one process at a time may do.

The lock is advisory (flock). The kernel releases it when the process ends, even
after a crash. On NFS, Linux takes the lock on the server, so it also works
across hosts.
"""

from collections.abc import Iterator
import contextlib
import errno
import fcntl
import io

from inception import paths
from inception.errors import warn

# Errors from file systems without locks.
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


@contextlib.contextmanager
def locked(path: paths.Path, wait: bool) -> Iterator[io.FileIO | None]:
  """Locks a file for the duration of the context; creates it if missing.

  Args:
    path: The file.
    wait: Whether to wait while another process holds the lock.

  Yields:
    The file, open for reading and appending; None if another process holds the
    lock and `wait` is false.

  Raises:
    OSError: The file cannot be opened or locked.
  """
  with open(path, 'a+b', buffering=0) as file:
    held: io.FileIO | None = file
    try:
      fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
      held = None
    except OSError as error:
      if error.errno not in _NO_LOCKS:
        raise
      warn(
        f'the file system of {path.parent} has no locks; make sure that no two'
        ' runs use this folder at the same time'
      )
    yield held

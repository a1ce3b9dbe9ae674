"""A lock on a file, so that one process at a time does what it guards.

The lock is advisory (flock): the kernel releases it when the process ends,
however it ends. Linux turns it into a lock on the server where the folder is
mounted over NFS, so it also holds between hosts.
"""

from collections.abc import Iterator
import contextlib
import errno
import fcntl
import io

from inception import paths
from inception.errors import warn

# Of file systems without locks.
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


@contextlib.contextmanager
def locked(path: paths.Path, wait: bool) -> Iterator[io.FileIO | None]:
  """Locks a file, which is made if missing, while the context lasts.

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
        f'the file system of {path.parent} has no locks: nothing keeps two runs'
        ' from using it at the same time'
      )
    yield held

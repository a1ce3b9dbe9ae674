"""The lock of a workdir: one writer at a time.

An advisory lock (flock) on a file, which the kernel releases when the process
ends, however it ends. Linux turns it into a lock on the server where the folder
is mounted over NFS, so it also holds between hosts.
"""

import datetime
import errno
import fcntl
import os
import socket
from typing import Self

from inception import paths
from inception.errors import UserError, warn

_FILE = '.lock'
# Of file systems without locks.
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


class WorkdirLock:
  """Locks a workdir at once if it exists, else when it is made.

  A context manager that releases the lock.
  """

  def __init__(self, workdir: paths.Path):
    """Locks a workdir if it exists.

    Raises:
      UserError: Another process has locked it, or it cannot be written.
    """
    self._workdir = workdir
    self._descriptor: int | None = None
    if workdir.is_dir():
      self._acquire()

  def __enter__(self) -> Self:
    return self

  def __exit__(self, *error: object) -> None:
    if self._descriptor is not None:
      os.ftruncate(self._descriptor, 0)
      os.close(self._descriptor)
      self._descriptor = None

  def make_workdir(self) -> None:
    """Makes the workdir and locks it, unless it was there before.

    Raises:
      UserError: It cannot be made, or another process was faster.
    """
    if self._descriptor is not None:
      return
    try:
      self._workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
      raise self._not_writable(error) from error
    self._acquire()
    if (self._workdir / 'checkpoints').exists():
      raise UserError(
        f'another run has just used {self._workdir}; start again to resume it'
      )

  def _acquire(self) -> None:
    path = self._workdir / _FILE
    try:
      self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
      raise self._not_writable(error) from error
    try:
      fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
      holder = os.read(self._descriptor, 200).decode(errors='replace').strip()
      os.close(self._descriptor)
      self._descriptor = None
      raise UserError(
        f'{self._workdir} is in use by {holder or "another process"}; wait'
        ' until it ends, or use another --workdir'
      ) from error
    except OSError as error:
      if error.errno not in _NO_LOCKS:
        raise self._not_writable(error) from error
      warn(
        f'the file system of {self._workdir} has no locks: nothing keeps two'
        ' runs from using it at the same time'
      )
    now = datetime.datetime.now().isoformat(' ', 'seconds')
    holder = f'process {os.getpid()} on {socket.gethostname()} since {now}'
    os.ftruncate(self._descriptor, 0)
    os.pwrite(self._descriptor, holder.encode(), 0)

  def _not_writable(self, error: OSError) -> UserError:
    return UserError(
      f'cannot write to {self._workdir}: {error.strerror}; choose another'
      ' folder'
    )

"""The lock of a workdir: one writer at a time."""

import contextlib
import datetime
import io
import os
import socket
from typing import Self

from inception import paths
from inception.errors import UserError
from inception.files import file_lock

_FILE = '.lock'


class WorkdirLock:
  """Locks a workdir at once if it exists, else when it is created.

  A context manager that releases the lock.
  """

  def __init__(self, workdir: paths.Path):
    """Locks a workdir if it exists.

    Raises:
      UserError: Another process has locked it, or it cannot be written.
    """
    self._workdir = workdir
    self._held = contextlib.ExitStack()
    self._file: io.FileIO | None = None
    if workdir.is_dir():
      self._acquire()

  def __enter__(self) -> Self:
    return self

  def __exit__(self, *error: object) -> None:
    if self._file is not None:
      self._file.truncate(0)
      self._file = None
    self._held.close()

  def make_workdir(self) -> None:
    """Creates and locks the workdir, unless it existed before.

    Raises:
      UserError: It cannot be created, or another process was faster.
    """
    if self._file is not None:
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
      self._file = self._held.enter_context(file_lock.locked(path, wait=False))
    except OSError as error:
      raise self._not_writable(error) from error
    if self._file is None:
      self._held.close()
      content = paths.read_bytes(path)[:200]
      holder = content.decode(errors='replace').strip()
      raise UserError(
        f'{self._workdir} is in use by {holder or "another process"}; wait'
        ' until it ends, or use another --workdir'
      )
    now = datetime.datetime.now().isoformat(' ', 'seconds')
    holder = f'process {os.getpid()} on {socket.gethostname()} since {now}'
    self._file.truncate(0)
    self._file.write(holder.encode())

  def _not_writable(self, error: OSError) -> UserError:
    return UserError(
      f'cannot write to {self._workdir}: {error.strerror}; choose another'
      ' folder'
    )

"""Heartbeats: if a process is lost, the others report it and exit.

A collective waits forever for a lost process. So a thread in every process
writes a counter to the key-value store of the coordinator (process 0) and reads
those of the others.
"""

from collections.abc import Callable
import ctypes
import os
import signal
import socket
import threading
import time
from typing import Any

import jax

from inception import errors

_ALIVE = 'inception/alive/'
_ENDED = 'inception/ended/'
_BEATS_PER_TIMEOUT = 10
_PROBE_SECONDS = 5.0


class Heartbeats:
  """Writes this process's heartbeat and watches those of the others."""

  def __init__(self, timeout: float, coordinator: Callable[[], str | None]):
    """Prepares to watch.

    Args:
      timeout: Seconds without a heartbeat after which a process is lost.
      coordinator: Returns host:port of process 0, once it is known.
    """
    self._timeout = timeout
    self._coordinator = coordinator
    self._interval = timeout / _BEATS_PER_TIMEOUT
    self._left = threading.Event()
    # Latest heartbeat of every process, and when it was first seen.
    self._seen: dict[int, tuple[str, float]] = {}
    self._status = errors.RESTART
    self._error = os.dup(2)  # Standard error is closed while JAX connects.
    # JAX aborts when it cannot reach process 0, or loses the connection, and
    # accepts no callback that would run instead. A Python handler would not run
    # either: it waits for the main thread's next bytecode instruction.
    self._on_abort = ctypes.CFUNCTYPE(None, ctypes.c_int)(
      lambda _: self._aborted()
    )
    ctypes.CDLL(None).signal(signal.SIGABRT, self._on_abort)

  def cancel(self) -> None:
    """Removes the signal handler, for a run with a single process."""
    ctypes.CDLL(None).signal(signal.SIGABRT, None)
    os.close(self._error)

  def start(self, client: Any, index: int, count: int) -> None:
    """Starts the thread.

    Args:
      client: JAX's client of the coordinator.
      index: Index of this process.
      count: Number of processes.
    """
    self._client = client
    self._index = index
    self._count = count
    self._thread = threading.Thread(target=self._watch, daemon=True)
    self._thread.start()

  def leave(self, status: int, message: str = '') -> None:
    """Stops watching, tells the others how this process ended, and disconnects.

    Process 0 waits for the others, which would abort without it.

    Args:
      status: Exit status of the process.
      message: Why it ended.
    """
    self._status = status
    self._left.set()
    self._thread.join()
    try:
      self._set(_ENDED, f'{status} {message}'[:1000])
      if self._index == 0:
        self._wait_for_others()
    except Exception:  # gRPC's errors have no public type.
      return  # The coordinator is gone: nobody is left to tell.
    jax.distributed.shutdown()

  def _wait_for_others(self) -> None:
    latest = time.monotonic() + self._timeout
    while len(ended := self._read(_ENDED)) < self._count:
      if time.monotonic() > latest:
        break
      time.sleep(0.1)
    # Blocks until the ended processes have called it or disconnected.
    self._client.get_live_nodes(sorted(ended))

  def wait_for_loss(self) -> None:
    """Gives the thread time to find the lost process and end this one."""
    time.sleep(self._timeout + 2 * self._interval)

  def _watch(self) -> None:
    answered = time.monotonic()
    beats = 0
    while not self._left.wait(self._interval):
      beats += 1
      try:
        self._set(_ALIVE, f'{beats} {socket.gethostname()}')
        alive, ended = self._read(_ALIVE), self._read(_ENDED)
        answered = time.monotonic()
      except Exception:  # gRPC's errors have no public type.
        if time.monotonic() - answered > self._timeout:
          self._end(0, f'has not answered for {self._timeout:g} s')
      else:
        self._check(alive, ended)

  def _check(self, alive: dict[int, str], ended: dict[int, str]) -> None:
    now = time.monotonic()
    for process in range(self._count):
      if process in ended:
        status, _, message = ended[process].partition(' ')
        # Only failures: all processes finish, or stop, at the same step.
        if int(status) in (1, errors.USER_ERROR, errors.RESTART):
          self._end(process, f'has ended: {message}', int(status))
        continue
      beat = alive.get(process, '')
      if process not in self._seen or self._seen[process][0] != beat:
        self._seen[process] = beat, now
      if now - self._seen[process][1] > self._timeout:
        self._end(process, f'has not answered for {self._timeout:g} s')

  def _aborted(self) -> None:
    """Ends this process after C++ code has aborted it."""
    address = self._coordinator()
    try:
      host, _, port = (address or '').rpartition(':')
      socket.create_connection((host, int(port)), _PROBE_SECONDS).close()
    except (OSError, ValueError):
      self._end(0, 'cannot be reached')
    # Gloo also aborts, on what a lost process has left behind.
    self.wait_for_loss()
    # No process is lost: this one has failed, and has printed why.
    os.write(self._error, b'error: this process has crashed; see above\n')
    os._exit(128 + signal.SIGABRT)

  def _end(
    self, process: int, reason: str, status: int = errors.RESTART
  ) -> None:
    """Ends this process at once; the main thread may hang in a collective."""
    if self._left.is_set():
      os._exit(self._status)
    beat, _ = self._seen.get(process, ('', 0))
    host = beat.partition(' ')[2] or 'unknown'
    text = ' '.join(f'process {process} (host {host}) {reason}'.split())
    if status == errors.RESTART:
      text += '; start all processes again to resume'
    os.write(self._error, f'error: {text}\n'.encode())
    os._exit(status)

  def _set(self, folder: str, value: str) -> None:
    self._client.key_value_set(
      f'{folder}{self._index}', value, allow_overwrite=True
    )

  def _read(self, folder: str) -> dict[int, str]:
    entries = self._client.key_value_dir_get(folder)
    return {int(key.rpartition('/')[2]): value for key, value in entries}

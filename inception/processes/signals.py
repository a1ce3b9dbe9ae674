"""Signals that stop a run after its current step."""

from collections.abc import Iterator
import contextlib
import os
import signal
import socket
import threading
from typing import Any

_STOPPING = (signal.SIGTERM, signal.SIGINT)


@contextlib.contextmanager
def stop_signals() -> Iterator[list[int]]:
  """Collects SIGTERM and SIGINT in a list, so that the step can finish.

  A second signal ends the process at once, even while the main thread is in a
  compilation or a collective: Python runs handlers in the main thread only, so
  another thread reads the signal numbers that the C handler writes to a socket.
  """
  received: list[int] = []
  if threading.current_thread() is not threading.main_thread():
    yield received  # Only the main thread can handle signals.
    return
  reader, writer = socket.socketpair()
  writer.setblocking(False)
  thread = threading.Thread(target=_collect, args=(reader, received))
  previous: dict[signal.Signals, Any] = {
    number: signal.signal(number, lambda *_: None) for number in _STOPPING
  }
  previous_descriptor = signal.set_wakeup_fd(writer.fileno())
  thread.start()
  try:
    yield received
  finally:
    signal.set_wakeup_fd(previous_descriptor)
    for number, handler in previous.items():
      signal.signal(number, handler)
    writer.close()  # Ends the thread.
    thread.join()
    reader.close()


def _collect(reader: socket.socket, received: list[int]) -> None:
  while number := reader.recv(1):
    if number[0] not in _STOPPING:
      continue
    if received:
      os._exit(128 + number[0])
    received.append(number[0])

"""Signals that stop a run after its current step."""

from collections.abc import Iterator
import contextlib
import signal
from typing import Any


@contextlib.contextmanager
def stop_signals() -> Iterator[list[int]]:
  """Collects SIGTERM and SIGINT in a list, so that a step can end first.

  A second signal has its usual effect.
  """
  received: list[int] = []
  previous: dict[signal.Signals, Any] = {}

  def handle(number: int, frame: Any) -> None:
    del frame
    received.append(number)
    signal.signal(number, previous[signal.Signals(number)])

  try:
    for number in (signal.SIGTERM, signal.SIGINT):
      previous[number] = signal.signal(number, handle)
  except ValueError:  # Only the main thread can handle signals.
    pass
  try:
    yield received
  finally:
    for number, handler in previous.items():
      signal.signal(number, handler)

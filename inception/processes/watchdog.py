"""A watchdog that ends a hanging run, so that it can be restarted."""

import faulthandler
import os
import sys
import threading
import time
from typing import Self

from inception import errors

_CHECKS_PER_TIMEOUT = 20


class Watchdog:
  """Ends the process if it is not fed for too long. A context manager."""

  def __init__(self, minutes: float):
    """Prepares to watch.

    Args:
      minutes: Longest time between two calls of `feed`.
    """
    self._seconds = 60 * minutes
    self._minutes = minutes
    self._fed = time.monotonic()
    self._stopped = threading.Event()
    self._thread = threading.Thread(target=self._watch, daemon=True)

  def __enter__(self) -> Self:
    self.feed()
    self._thread.start()
    return self

  def __exit__(self, *error: object) -> None:
    self._stopped.set()
    self._thread.join()

  def feed(self) -> None:
    """Records that the run makes progress."""
    self._fed = time.monotonic()

  def _watch(self) -> None:
    while not self._stopped.wait(self._seconds / _CHECKS_PER_TIMEOUT):
      if time.monotonic() - self._fed > self._seconds:
        faulthandler.dump_traceback(sys.stderr)
        print(
          f'error: no step within watchdog_minutes={self._minutes:g}; the stack'
          ' traces above show where the run hangs. Start it again to resume',
          file=sys.stderr,
          flush=True,
        )
        os._exit(errors.RESTART)

"""What a start of training spends its time on, until its first step."""

import time
from typing import Self

import jax

# JAX's name for the time in which XLA makes a program, or the compilation cache
# returns it.
_COMPILING = '/jax/core/compile/backend_compile_duration'


class Startup:
  """A stopwatch for the parts of a start. A context manager.

  Compile time is reported separately.

  Attributes:
    seconds: Of each part, in the order of their first `mark`.
  """

  def __init__(self, began: float | None = None):
    """Starts.

    Args:
      began: When the process started, of `time.monotonic`; None: now.
    """
    self.seconds: dict[str, float] = {}
    self._last = time.monotonic() if began is None else began
    self._compiling = 0.0

  def __enter__(self) -> Self:
    jax.monitoring.register_event_duration_secs_listener(self._listen)
    return self

  def __exit__(self, *error: object) -> None:
    jax.monitoring.unregister_event_duration_listener(self._listen)

  def mark(self, part: str) -> None:
    """Ends a part of the start, and names it."""
    now, compiling = time.monotonic(), self._compiling
    self._add(part, now - self._last - compiling)
    if compiling:
      self._add('compiling', compiling)
    self._last, self._compiling = now, 0.0

  def _add(self, part: str, seconds: float) -> None:
    self.seconds[part] = self.seconds.get(part, 0.0) + seconds

  def describe(self) -> str:
    """Returns a line about all parts."""
    parts = ', '.join(f'{name} {s:.1f}' for name, s in self.seconds.items())
    return f'first step after {sum(self.seconds.values()):.1f} s: {parts}'

  def _listen(
    self, event: str, duration_secs: float, **details: str | int
  ) -> None:
    del details
    if event == _COMPILING:
      self._compiling += duration_secs

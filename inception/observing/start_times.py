"""Where the time goes from the start of training to its first step."""

import collections
import time
from typing import Self

import jax

# JAX's event for compiling a program with XLA, or reading it from the
# compilation cache.
_COMPILING = '/jax/core/compile/backend_compile_duration'


class Startup:
  """Times the parts of a start. A context manager.

  Compile time is reported separately.

  Attributes:
    seconds: Duration of each part, in the order of their first `mark`.
  """

  def __init__(self, began: float | None = None):
    """Starts the clock at `began`, from `time.monotonic`, or now."""
    self.seconds: dict[str, float] = collections.defaultdict(float)
    self._last = time.monotonic() if began is None else began
    self._compiling = 0.0

  def __enter__(self) -> Self:
    jax.monitoring.register_event_duration_secs_listener(self._listen)
    return self

  def __exit__(self, *error: object) -> None:
    jax.monitoring.unregister_event_duration_listener(self._listen)

  def mark(self, part: str) -> None:
    """Ends a part of the start and records its time under this name."""
    now, compiling = time.monotonic(), self._compiling
    self.seconds[part] += now - self._last - compiling
    if compiling:
      self.seconds['compiling'] += compiling
    self._last, self._compiling = now, 0.0

  def describe(self) -> str:
    """Returns one line with the time of each part."""
    parts = ', '.join(f'{name} {s:.1f}' for name, s in self.seconds.items())
    return f'first step after {sum(self.seconds.values()):.1f} s: {parts}'

  def _listen(
    self, event: str, duration_secs: float, **details: str | int
  ) -> None:
    del details
    if event == _COMPILING:
      self._compiling += duration_secs

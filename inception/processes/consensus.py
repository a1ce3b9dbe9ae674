"""What all processes decide together about each step: stop, save, give up.

A process that stops on its own leaves the others waiting in a collective. So
each says before a step what it wants, and all follow at the same step.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
import dataclasses
import json
import signal
import time
from typing import Any, Protocol

import jax

from inception.errors import UserError
from inception.processes import distributed
from inception.processes.watchdog import Watchdog

Batch = dict[str, jax.Array]

# Indices of corrupt images: they have to fit into one message.
_TOLD_AT_ONCE = 50


class News(Protocol):
  """What each process finds out, and all have to know: corrupt images."""

  def has_news(self) -> bool:
    """True if this process knows of indices that it has not told yet."""

  def news(self, count: int) -> list[int]:
    """Returns indices, at most `count`, that were not returned before."""

  def learn(self, indices: Iterable[int]) -> None:
    """Adds what other processes have found."""


class StoppedError(Exception):
  """A signal stopped an evaluation; there are no results."""


@dataclasses.dataclass(frozen=True)
class Verdict:
  """What to do after a step.

  Attributes:
    stop: A process has received a signal: save and stop.
    save: A checkpoint is due by the clock.
    failed: A process has no more data: raise.
    corrupt: A process has found corrupt images: count them together.
  """

  stop: bool
  save: bool
  failed: bool
  corrupt: bool


class Consensus:
  """Asks for opinions before every batch and knows the verdict after it."""

  def __init__(
    self,
    devices: Sequence[jax.Device],
    received: Sequence[int],
    minutes: float | None,
    watchdog: Watchdog,
  ):
    """Prepares the votes.

    Args:
      devices: Devices of all processes.
      received: Signals that this process has received so far.
      minutes: Minutes between checkpoints, or None.
      watchdog: Fed with every batch.
    """
    self._ballot = distributed.Ballot(devices)
    self._received = received
    self._minutes = minutes
    self._watchdog = watchdog
    self._saved = time.monotonic()
    self._cast: Any = None
    self._failure: UserError | None = None
    self._known: News | None = None

  def saved(self) -> None:
    """Records that a checkpoint was just written."""
    self._saved = time.monotonic()

  def signal(self) -> int:
    """Returns the signal that stopped the run; another process may have it."""
    return self._received[0] if self._received else signal.SIGTERM

  def decide(self) -> Verdict:
    """Returns the verdict about the last batch; waits for the step before it.

    Raises:
      UserError: A process has no more data, or all of them together have found
        more corrupt images than are tolerated.
    """
    verdict = Verdict(*(bool(opinion) for opinion in self._cast))
    if verdict.failed:
      with distributed.agreed():
        if self._failure is not None:
          raise self._failure
    if verdict.corrupt and self._known is not None:
      told = distributed.tell_all(json.dumps(self._known.news(_TOLD_AT_ONCE)))
      for indices in told:
        self._known.learn(json.loads(indices))
    return verdict

  def over(
    self,
    batches: Iterable[Batch],
    empty: Callable[[], Batch],
    known: News | None = None,
  ) -> Iterator[Batch]:
    """Yields batches; `decide` returns the verdict about the latest.

    Args:
      batches: This process's batches, on the devices.
      empty: Makes a batch of zeros, for the step in which the others learn that
        this process has no more data.
      known: The corrupt images among these batches.

    Raises:
      UserError: No more data, where there is no other process to be told.
    """
    batches = iter(batches)
    while True:
      # Those of an evaluation are none of training's.
      self._failure, self._known = None, known
      try:
        batch = next(batches)
      except StopIteration:
        return
      except UserError as error:
        if distributed.process_count() == 1:
          raise
        self._failure, batch = error, empty()
      self._watchdog.feed()
      due = self._minutes is not None and (
        time.monotonic() - self._saved > 60 * self._minutes
      )
      self._cast = self._ballot.cast(
        bool(self._received),
        due,
        self._failure is not None,
        known is not None and known.has_news(),
      )
      yield batch

  def over_evaluation(
    self, batches: Iterable[Batch], empty: Callable[[], Batch]
  ) -> Iterator[Batch]:
    """Yields batches of an evaluation, as `over`, until a signal arrives.

    Raises:
      UserError: A process has no more data; all raise.
      StoppedError: A process has received a signal; all raise.
    """
    for batch in self.over(batches, empty):
      yield batch
      if self.decide().stop:
        raise StoppedError

"""Decisions that all processes make together at each step: stop, save, fail.

A process that stops alone leaves the others waiting in a collective. So each
votes before a step, and all act on the result at the same step.
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

# Most indices of corrupt images in one message, which has a fixed size.
_TOLD_AT_ONCE = 50


class News(Protocol):
  """Corrupt images, which each process finds and shares with the others."""

  def has_news(self) -> bool:
    """True if this process has indices that it has not shared."""

  def news(self, count: int) -> list[int]:
    """Returns up to `count` indices that it has not returned before."""

  def learn(self, indices: Iterable[int]) -> None:
    """Adds indices that other processes have found."""


class StoppedError(Exception):
  """A signal stopped an evaluation; there are no results."""


@dataclasses.dataclass(frozen=True)
class Verdict:
  """What to do after a step.

  Attributes:
    stop: A process has received a signal: save and stop.
    save: A checkpoint is due by the clock.
    failed: A process has no more data: raise.
    corrupt: A process has found corrupt images: share their indices.
  """

  stop: bool
  save: bool
  failed: bool
  corrupt: bool


class Consensus:
  """Holds a vote before every batch and returns the verdict after it."""

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
      watchdog: Fed at every batch.
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
    """Returns the signal that stopped the run, or SIGTERM if unknown here."""
    return self._received[0] if self._received else signal.SIGTERM

  def decide(self) -> Verdict:
    """Returns the verdict on the latest batch; waits for the previous step.

    Raises:
      UserError: A process has no more data, or all processes together have
        found more corrupt images than are tolerated.
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
    """Yields batches; `decide` returns the verdict on the latest.

    Args:
      batches: This process's batches, on the devices.
      empty: Makes a batch of zeros, for the step in which the others learn that
        this process has no more data.
      known: The corrupt images among these batches.

    Raises:
      UserError: There is no more data, in a run with a single process.
    """
    batches = iter(batches)
    while True:
      # Set for each batch: an evaluation may have run since the last one.
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
    """Yields batches of an evaluation, like `over`, until a signal arrives.

    Raises:
      UserError: A process has no more data; all raise.
      StoppedError: A process has received a signal; all raise.
    """
    for batch in self.over(batches, empty):
      yield batch
      if self.decide().stop:
        raise StoppedError

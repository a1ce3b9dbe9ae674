"""Early stopping: training ends when evaluation no longer improves."""

from collections.abc import Iterable
import json

from inception import distributed


class Patience:
  """Counts evaluations in a row without a better top-1."""

  def __init__(self, limit: int | None, earlier: Iterable[float]):
    """Starts from what a resumed run has seen.

    Args:
      limit: Evaluations without a better one that end the run, or None.
      earlier: top-1 of earlier evaluations, in order; that of the first
        process counts.
    """
    self._limit = limit
    self._best, self._since = -1.0, 0
    for top1 in earlier:
      self.add(top1)
    history = json.dumps([self._best, self._since])
    self._best, self._since = json.loads(distributed.tell_all(history)[0])

  def add(self, top1: float) -> None:
    """Counts an evaluation."""
    if top1 > self._best:
      self._best, self._since = top1, 0
    else:
      self._since += 1

  @property
  def exhausted(self) -> bool:
    """True if the run should end."""
    return self._limit is not None and self._since >= self._limit

"""Early stopping: training ends when evaluation no longer improves."""

from collections.abc import Iterable, Mapping
import json
from typing import Any

from inception.processes import distributed


class Patience:
  """Counts evaluations in a row without a better top-1.

  Attributes:
    state: Kept in checkpoints as JSON: `step` of the last evaluation, `best`
      top-1, and the number of evaluations `since`.
  """

  def __init__(
    self,
    limit: int | None,
    earlier: Iterable[tuple[int, float]],
    state: Mapping[str, Any] | None = None,
  ):
    """Starts a count, or restores that of a resumed run.

    Args:
      limit: Consecutive evaluations without a better one to stop at, or None.
      earlier: Step and top-1 of evaluations, in order; those after the step of
        the state are added. Only those of the first process are used.
      state: `state` when the checkpoint was saved; None for a new run.
    """
    self._limit = limit
    self.state = {'step': 0, 'best': -1.0, 'since': 0, **(state or {})}
    for step, top1 in earlier:
      self.add(step, top1)
    self.state = json.loads(distributed.tell_all(json.dumps(self.state))[0])

  def add(self, step: int, top1: float) -> None:
    """Counts the evaluation at a step, once."""
    if step <= self.state['step']:
      return
    is_better = top1 > self.state['best']
    self.state = {
      'step': step,
      'best': top1 if is_better else self.state['best'],
      'since': 0 if is_better else self.state['since'] + 1,
    }

  @property
  def exhausted(self) -> bool:
    """True if the run should end."""
    return self._limit is not None and self.state['since'] >= self._limit

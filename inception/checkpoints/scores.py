"""The evaluation results stored with the checkpoints of a folder."""

from collections.abc import Iterable, Sequence

from inception import paths
from inception.checkpoints import header, reading
from inception.errors import UserError, reason, warn


class Scores:
  """Reads scores; damaged ones are reported once and count as missing."""

  def __init__(self, folder: paths.Path):
    """Prepares to read scores; reads nothing.

    Args:
      folder: Holds a folder per checkpoint, named by its step.
    """
    self._folder = folder
    self._bad: set[int] = set()

  def of(self, step: int) -> dict[str, float] | None:
    """Returns the results of the evaluation at a step, or None."""
    try:
      return self.read(step)
    except UserError as error:
      if step not in self._bad:
        warn(str(error))
      self._bad.add(step)
      return None

  def read(self, step: int) -> dict[str, float] | None:
    """Returns the results of the evaluation at a step, or None.

    Raises:
      UserError: They are damaged, or cannot be read.
    """
    path = self._folder / str(step)
    try:
      return header.read_scores(path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
      what = f'the scores of checkpoint {path}'
      if reading.failed(error):
        raise reading.not_readable(what, error) from error
      raise UserError(f'{what} are damaged: {reason(error)}') from error

  def best_first(self, steps: Iterable[int]) -> list[int]:
    """Returns the evaluated steps by decreasing top-1; ties: newest first."""
    top1 = []
    for step in steps:
      scores = self.of(step)
      if scores and 'top1' in scores:
        top1.append((scores['top1'], step))
    return [step for _, step in sorted(top1, reverse=True)]

  def lost(self, steps: Sequence[int]) -> set[int]:
    """Returns evaluated steps without readable scores: one may be the best."""
    evaluated: set[int] = set()
    for step in steps:
      try:
        fields = header.read_header(self._folder / str(step))
        evaluated.update(fields.get('evaluated', ()))
      except (OSError, ValueError, KeyError, TypeError):
        continue  # Reported when it is loaded.
    for step in sorted(evaluated.intersection(steps)):
      if self.of(step) is None and step not in self._bad:
        path = self._folder / str(step)
        warn(f'the scores of checkpoint {path} are missing; keeping it')
        self._bad.add(step)
    return self._bad & {*steps}

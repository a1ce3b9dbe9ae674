"""A profile of some steps, for TensorBoard."""

from collections.abc import Iterator
import contextlib
import re
from typing import Any, Self

import jax

from inception import paths
from inception.errors import UserError, warn


def parse_steps(text: str) -> range:
  """Parses a range of steps, 'FIRST:LAST', counted from 1.

  Raises:
    UserError: The text is not such a range, or the range is empty.
  """
  match = re.fullmatch(r'(\d+):(\d+)', text)
  steps = range(int(match[1]), int(match[2]) + 1) if match else range(0)
  if not steps or steps.start < 1:
    raise UserError(
      f'profile_steps={text} must be FIRST:LAST, steps counted from 1; try'
      ' --profile_steps=10:15'
    )
  return steps


class Profile:
  """Profiles some steps of a run. A context manager.

  Devices and host are recorded from the start of the first step to the end of
  the last one.
  """

  def __init__(self, steps: range, folder: paths.Path):
    """Prepares to record `steps`, counted from 1; the range may be empty."""
    self._steps = steps
    self._folder = folder
    self._is_on = False
    self._is_done = not steps

  def __enter__(self) -> Self:
    return self

  def __exit__(self, *error: object) -> None:
    if self._is_on:
      self._stop()
    elif not self._is_done:
      warn(
        'no profile was written: the run took none of the steps'
        f' {self._steps[0]} to {self._steps[-1]}'
      )

  @contextlib.contextmanager
  def step(self, number: int, state: Any) -> Iterator[None]:
    """Records a step that starts from `state`, if it is in the range."""
    if self._is_done or number not in self._steps:
      yield
      return
    if not self._is_on:
      jax.block_until_ready(state)
      jax.profiler.start_trace(str(self._folder))
      self._is_on = True
    with jax.profiler.StepTraceAnnotation('step', step_num=number):
      yield

  def after(self, number: int, metrics: Any) -> None:
    """Ends the profile after its last step, which returned the metrics."""
    if self._is_on and number == self._steps[-1]:
      jax.block_until_ready(metrics)
      self._stop()

  def _stop(self) -> None:
    self._is_on, self._is_done = False, True
    jax.profiler.stop_trace()
    print(
      f'wrote {self._folder}; view it with: tensorboard --logdir={self._folder}'
    )

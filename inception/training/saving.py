"""Saving the state of a run: all processes check it, one writes it."""

from collections.abc import Mapping
from typing import Any

import jax
import ml_collections

from inception.checkpoints import arrays
from inception.checkpoints.store import Checkpoints, NotWrittenError
from inception.errors import warn
from inception.observing import divergence
from inception.processes import distributed
from inception.training.recipe.state import TrainState

# Values of `checkpoint.on_full`: True to continue without the checkpoint.
ON_FULL = {'stop': False, 'continue': True}


class Saver:
  """Writes checkpoints, in the process that has them open."""

  def __init__(
    self,
    checkpoints: Checkpoints | None,
    config: ml_collections.ConfigDict,
    data: Mapping[str, Any],
  ):
    """Keeps the parts common to all checkpoints.

    Args:
      checkpoints: Opened for writing in the first process, None in others.
      config: The whole config; stored in every checkpoint.
      data: Result of `record.describe_data`; stored in every checkpoint.
    """
    self._checkpoints = checkpoints
    self._data = data
    self._config = config
    self._promised: int | None = None  # Step of the last checkpoint.
    self._error: NotWrittenError | None = None

  def save(
    self,
    state: TrainState,
    interval: Mapping[str, Any],
    patience: Mapping[str, Any],
    is_last: bool,
  ) -> None:
    """Copies a state to the host and writes it in the background.

    Args:
      state: The state, without a device axis.
      interval: Sums of the metrics since the last logged step.
      patience: `Patience.state`.
      is_last: This checkpoint must be written; see `checkpoint.on_full`.

    Raises:
      UserError: A parameter is not finite, the processes differ, or this or the
        previous checkpoint could not be written; raised in all processes.
    """
    flat = arrays.flatten(jax.device_get(state))
    divergence.check_finite(flat, self._config)
    digest = arrays.digest(flat)
    distributed.same_everywhere(digest, 'the state')
    with distributed.agreed():
      if self._checkpoints is not None:
        self._or_go_on(self._checkpoints.wait, False)  # The previous one.
        self._promised = int(flat['step']) if is_last else None
        self._or_go_on(
          lambda: self._checkpoints.save(
            flat, self._config, interval, self._data, digest, patience
          ),
          is_last,
        )

  def save_scores(self, step: int, scores: Mapping[str, float]) -> None:
    """Adds the results of an evaluation to the checkpoint of its step.

    Raises:
      UserError: They could not be written; raised in all processes.
    """
    with distributed.agreed():
      if self._checkpoints is not None:
        self._or_go_on(
          lambda: self._checkpoints.save_scores(step, scores), False
        )

  def finish(self) -> None:
    """Waits until the last checkpoint is written.

    Raises:
      UserError: It could not be written; raised in all processes.
    """
    with distributed.agreed():
      if self._checkpoints is not None:
        self._checkpoints.wait()
        # Its write may have failed while something else waited for it.
        if self._promised not in (None, *self._checkpoints.steps()):
          assert self._error is not None
          raise self._error

  def _or_go_on(self, write: Any, is_last: bool) -> None:
    try:
      write()
    except NotWrittenError as error:
      if is_last or not ON_FULL[self._config.checkpoint.on_full]:
        raise
      self._error = error
      warn(f'{error}; training continues and retries at the next checkpoint')

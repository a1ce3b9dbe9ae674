"""Checkpoints: host arrays and the config, written atomically by Orbax.

A checkpoint holds nested dicts of arrays, so any code can read it on any number
of devices. A digest detects damage. Only this file imports Orbax.
"""

from collections.abc import Iterator, Mapping
import contextlib
import json
import pathlib
import shutil
import sys
from typing import Any, Self

from absl import logging
import jax
import ml_collections
import numpy as np
import orbax.checkpoint as ocp

from inception.checkpoints import arrays
from inception.config import compare
from inception.errors import UserError

Checkpoint = tuple[dict[str, Any], ml_collections.ConfigDict]

_FOLDER = 'checkpoints'


class Checkpoints:
  """The checkpoints of a workdir. A context manager that closes them."""

  def __init__(self, workdir: pathlib.Path, keep: int | None = None):
    """Opens a workdir.

    Args:
      workdir: Workdir of the run.
      keep: Checkpoints to keep: the N most recent, plus the best by top-1.
        None opens them read-only.

    Raises:
      UserError: The workdir cannot be written.
    """
    self.folder = workdir.absolute() / _FOLDER
    if keep is not None:
      make_writable(self.folder)
      # Orbax would do it in a thread that outlives an early refusal.
      for unfinished in self.folder.glob('*.orbax-checkpoint-tmp*'):
        shutil.rmtree(unfinished)
    with _quiet_logs():
      self._manager = ocp.CheckpointManager(
        self.folder,
        options=_manager_options(keep),
        item_handlers={
          'state': ocp.StandardCheckpointHandler(),
          'config': ocp.JsonCheckpointHandler(),
        },
      )

  def __enter__(self) -> Self:
    return self

  def __exit__(self, *error: object) -> None:
    self.close()

  def steps(self) -> list[int]:
    """Returns the steps of all checkpoints in ascending order."""
    return sorted(self._manager.all_steps())

  def best_step(self) -> int | None:
    """Returns the step of the best top-1, or None if none was evaluated."""
    metrics = {step: self._manager.metrics(step) for step in self.steps()}
    evaluated = {step: _top1(m) for step, m in metrics.items() if m}
    # Ties go to the newest, as in the preservation policy.
    return max(
      evaluated, key=lambda step: (evaluated[step], step), default=None
    )

  def save(
    self,
    state: Any,
    config: ml_collections.ConfigDict,
    metrics: Mapping[str, float] | None,
  ) -> None:
    """Copies a state to the host and writes it in the background.

    Args:
      state: A tree with a `step`, without a device axis.
      config: Config of the run; stored in the checkpoint.
      metrics: Results of an evaluation at this step, with `top1`, or None.

    Raises:
      UserError: A parameter is not finite, the disk is full, or the previous
        write failed.
    """
    flat = arrays.flatten(jax.device_get(state))
    step = int(flat['step'])
    for name, array in flat.items():
      if not np.all(np.isfinite(array)):
        raise UserError(
          f'{name} is not finite at step {step}; no checkpoint was written,'
          f' the newest is step {self._manager.latest_step()}'
        )
    # If a write fails halfway, Orbax's threads print pages of tracebacks.
    needed = sum(np.asarray(array).nbytes for array in flat.values())
    free = shutil.disk_usage(self.folder).free
    if free < needed:
      raise self._not_written(f'it needs {needed:,} bytes, {free:,} are free')
    header = {
      'config': json.loads(compare.to_json(config)),
      'digest': arrays.digest(flat),
    }
    try:
      with _quiet_logs():
        self._manager.save(
          step,
          args=ocp.args.Composite(
            state=ocp.args.StandardSave(arrays.unflatten(flat)),
            config=ocp.args.JsonSave(header),
          ),
          metrics=dict(metrics) if metrics else None,
        )
    except (OSError, ValueError) as error:
      raise self._not_written(error) from error

  def wait(self) -> None:
    """Waits until the last checkpoint is written.

    Raises:
      UserError: It could not be written.
    """
    try:
      self._manager.wait_until_finished()
    except (OSError, ValueError) as error:
      raise self._not_written(error) from error

  def close(self) -> None:
    """Releases Orbax's threads."""
    self._manager.close()

  def load(self, step: int) -> Checkpoint:
    """Reads a checkpoint.

    Args:
      step: One of `steps()`.

    Returns:
      Nested dicts of host arrays, and the config with this version's fields.

    Raises:
      UserError: The checkpoint is damaged.
    """
    try:
      with _quiet_logs():
        loaded = self._manager.restore(
          step,
          args=ocp.args.Composite(
            state=ocp.args.StandardRestore(),
            config=ocp.args.JsonRestore(),
          ),
        )
      tree, header = loaded['state'], loaded['config']
      digest = arrays.digest(arrays.flatten(tree))
      if digest != header['digest']:
        raise ValueError('its content differs from what was written')
    except (OSError, ValueError, KeyError, TypeError) as error:
      reason = str(error).split('\n')[0][:200]
      raise UserError(
        f'checkpoint {self.folder / str(step)} is damaged: {reason}'
      ) from error
    return tree, compare.from_json(json.dumps(header['config']))

  def load_newest_good(self) -> Checkpoint | None:
    """Reads the newest checkpoint that is not damaged; None if there is none.

    Names damaged ones on standard error.

    Raises:
      UserError: All checkpoints are damaged.
    """
    steps = self.steps()
    for step in reversed(steps):
      try:
        return self.load(step)
      except UserError as error:
        print(f'warning: {error}; using an earlier one', file=sys.stderr)
    if steps:
      raise UserError(
        f'all {len(steps)} checkpoints in {self.folder} are damaged; use'
        ' another workdir'
      )
    return None

  def delete_after(self, step: int) -> None:
    """Deletes checkpoints after `step`: damaged ones that were skipped."""
    for other in self.steps():
      if other > step:
        self._manager.delete(other)

  def _not_written(self, error: Exception | str) -> UserError:
    return UserError(
      f'cannot write a checkpoint to {self.folder}: {error}; free some space'
      ' and start again, earlier checkpoints are kept'
    )


def make_writable(folder: pathlib.Path) -> None:
  """Makes a folder, and raises UserError if it cannot be written."""
  try:
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / '.writable'
    probe.write_text('')
    probe.unlink()
  except OSError as error:
    raise UserError(
      f'cannot write to {folder}: {error.strerror}; choose another folder'
    ) from error


def _manager_options(keep: int | None) -> ocp.CheckpointManagerOptions:
  policy = ocp.checkpoint_managers
  best = policy.BestN(
    get_metric_fn=_top1, n=1, keep_checkpoints_without_metrics=False
  )
  return ocp.CheckpointManagerOptions(
    create=False,
    read_only=keep is None,
    best_fn=_top1,  # Without it, metrics are not written.
    preservation_policy=policy.AnyPreservationPolicy(
      [policy.LatestN(keep), best]
    ),
  )


@contextlib.contextmanager
def _quiet_logs() -> Iterator[None]:
  """Hides Orbax's warnings; what matters is raised as an exception."""
  level = logging.get_verbosity()
  logging.set_verbosity(min(level, logging.ERROR))
  try:
    yield
  finally:
    logging.set_verbosity(level)


def _top1(metrics: Mapping[str, float]) -> float:
  return metrics['top1']

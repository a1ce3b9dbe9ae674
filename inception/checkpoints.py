"""Checkpoints: host arrays and the config, written atomically by Orbax.

A checkpoint holds plain nested dicts of arrays, so that it can be read without
the code that made it, on any number of devices. Its digest tells a good one
from a damaged one. This is the only file that imports Orbax.
"""

from collections.abc import Mapping
import hashlib
import json
import pathlib
import shutil
import sys
from typing import Any, TypeVar

from flax import serialization, traverse_util
import jax
import ml_collections
import numpy as np
import orbax.checkpoint as ocp

from inception import config as config_lib
from inception.errors import UserError

Tree = TypeVar('Tree')

_FOLDER = 'checkpoints'
_SEPARATOR = '/'

_report_unraisable = sys.unraisablehook


class Checkpoints:
  """The checkpoints of a workdir."""

  def __init__(self, workdir: pathlib.Path, keep: int | None = None):
    """Opens a workdir.

    Args:
      workdir: of the run.
      keep: checkpoints to keep: the newest so many, and the best by top-1
        besides. None opens them for reading only.

    Raises:
      UserError: the workdir cannot be written.
    """
    sys.unraisablehook = _without_late_callbacks
    self.folder = workdir.absolute() / _FOLDER
    read_only = keep is None
    if not read_only:
      make_writable(self.folder)
      # Orbax would do it in a thread that outlives an early refusal.
      for unfinished in self.folder.glob('*.orbax-checkpoint-tmp*'):
        shutil.rmtree(unfinished)
    policy = ocp.checkpoint_managers
    self._manager = ocp.CheckpointManager(
      self.folder,
      options=ocp.CheckpointManagerOptions(
        create=False,
        read_only=read_only,
        best_fn=_top1,  # Without it, metrics are not written.
        preservation_policy=policy.AnyPreservationPolicy(
          [
            policy.LatestN(keep),
            policy.BestN(
              get_metric_fn=_top1,
              n=1,
              keep_checkpoints_without_metrics=False,
            ),
          ]
        ),
      ),
      item_handlers={
        'state': ocp.StandardCheckpointHandler(),
        'config': ocp.JsonCheckpointHandler(),
      },
    )

  def steps(self) -> list[int]:
    """Returns the steps of all checkpoints, in order."""
    return sorted(self._manager.all_steps())

  def best_step(self) -> int | None:
    """Returns the step of the best top-1; None where none was evaluated."""
    metrics = {step: self._manager.metrics(step) for step in self.steps()}
    evaluated = {step: _top1(m) for step, m in metrics.items() if m}
    # Among equals the newest, as in the preservation policy.
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
      state: a tree with a `step`, one copy for all devices.
      config: travels inside the checkpoint.
      metrics: of an evaluation at this step, with `top1`; None without one.

    Raises:
      UserError: a parameter is not finite, the disk is full, or the write
        before this one failed; earlier checkpoints stay.
    """
    arrays = _flatten(jax.device_get(state))
    step = int(arrays['step'])
    for name, array in arrays.items():
      if not np.all(np.isfinite(array)):
        raise UserError(
          f'{name} is not finite at step {step}; no checkpoint was written,'
          f' the newest is step {self._manager.latest_step()}'
        )
    # A write that fails half-way is reported too, but in pages of tracebacks
    # from Orbax's threads.
    needed = sum(np.asarray(array).nbytes for array in arrays.values())
    free = shutil.disk_usage(self.folder).free
    if free < needed:
      raise self._not_written(f'it needs {needed:,} bytes, {free:,} are free')
    tree = traverse_util.unflatten_dict(arrays, sep=_SEPARATOR)
    header = {
      'config': json.loads(config_lib.to_json(config)),
      'digest': _digest(arrays),
    }
    try:
      self._manager.save(
        step,
        args=ocp.args.Composite(
          state=ocp.args.StandardSave(tree),
          config=ocp.args.JsonSave(header),
        ),
        metrics=dict(metrics) if metrics else None,
      )
    except (OSError, ValueError) as error:
      raise self._not_written(error) from error

  def wait(self) -> None:
    """Waits until the last checkpoint is written.

    Raises:
      UserError: it could not be written.
    """
    try:
      self._manager.wait_until_finished()
    except (OSError, ValueError) as error:
      raise self._not_written(error) from error

  def close(self) -> None:
    """Releases Orbax's threads."""
    self._manager.close()

  def load(self, step: int) -> tuple[dict[str, Any], ml_collections.ConfigDict]:
    """Reads a checkpoint.

    Args:
      step: one of `steps`.

    Returns:
      Nested dicts of host arrays, and the config of the run.

    Raises:
      UserError: the checkpoint is damaged.
    """
    try:
      loaded = self._manager.restore(
        step,
        args=ocp.args.Composite(
          state=ocp.args.StandardRestore(),
          config=ocp.args.JsonRestore(),
        ),
      )
      tree, header = loaded['state'], loaded['config']
      digest = _digest(traverse_util.flatten_dict(tree, sep=_SEPARATOR))
      if digest != header['digest']:
        raise ValueError('its content is not what was written')
    except (OSError, ValueError, KeyError, TypeError) as error:
      reason = str(error).split('\n')[0][:200]
      raise UserError(
        f'checkpoint {self.folder / str(step)} is damaged: {reason}'
      ) from error
    return tree, config_lib.from_json(json.dumps(header['config']))

  def load_newest_good(
    self,
  ) -> tuple[dict[str, Any], ml_collections.ConfigDict] | None:
    """Reads the newest checkpoint that is not damaged; None without any.

    Damaged ones are named on standard error.

    Raises:
      UserError: there are checkpoints and all are damaged.
    """
    steps = self.steps()
    for step in reversed(steps):
      try:
        return self.load(step)
      except UserError as error:
        print(f'warning: {error}; trying the one before', file=sys.stderr)
    if steps:
      raise UserError(
        f'all {len(steps)} checkpoints in {self.folder} are damaged; use'
        ' another workdir'
      )
    return None

  def delete_after(self, step: int) -> None:
    """Deletes checkpoints newer than a step: damage leaves them behind."""
    for other in self.steps():
      if other > step:
        self._manager.delete(other)

  def _not_written(self, error: Exception | str) -> UserError:
    return UserError(
      f'cannot write a checkpoint to {self.folder}: {error}; free some space'
      ' and start again, the earlier checkpoints are kept'
    )


def restore_into(target: Tree, tree: Mapping[str, Any]) -> Tree:
  """Puts loaded arrays where a tree of the same structure has its own.

  Args:
    target: tree of arrays or of their shapes.
    tree: of `Checkpoints.load`.

  Raises:
    UserError: names the first parameter that one of the two lacks, or whose
      shape differs.
  """
  wanted = _flatten(target)
  loaded = traverse_util.flatten_dict(tree, sep=_SEPARATOR)
  for name in sorted(wanted | loaded):
    if name not in wanted or name not in loaded:
      where = 'checkpoint' if name not in loaded else 'network'
      raise UserError(f'the checkpoint does not fit: the {where} lacks {name}')
    if np.shape(loaded[name]) != np.shape(wanted[name]):
      raise UserError(
        f'the checkpoint does not fit: {name} is {np.shape(loaded[name])},'
        f' the network has {np.shape(wanted[name])}'
      )
  structure = traverse_util.flatten_dict(
    serialization.to_state_dict(target), keep_empty_nodes=True, sep=_SEPARATOR
  )
  structure.update(loaded)
  return serialization.from_state_dict(
    target, traverse_util.unflatten_dict(structure, sep=_SEPARATOR)
  )


def make_writable(folder: pathlib.Path) -> None:
  """Makes a folder and writes to it once.

  Raises:
    UserError: it cannot be made or written.
  """
  try:
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / '.writable'
    probe.write_text('')
    probe.unlink()
  except OSError as error:
    raise UserError(
      f'cannot write to {folder}: {error.strerror}; choose another folder'
    ) from error


def _without_late_callbacks(unraisable: Any) -> None:
  """Reports what Python cannot raise, but for the echoes of an error.

  Orbax closes its event loop at the first error, which we raise; the threads
  that still read or write then fail one by one to report to that loop.
  """
  if str(unraisable.exc_value) != 'Event loop is closed':
    _report_unraisable(unraisable)


def _top1(metrics: Mapping[str, float]) -> float:
  return metrics['top1']


def _flatten(state: Any) -> dict[str, Any]:
  """Returns {'params/.../kernel': array} without the empty nodes."""
  nested = serialization.to_state_dict(state)
  flat = traverse_util.flatten_dict(nested, sep=_SEPARATOR)
  return {name: leaf for name, leaf in flat.items() if leaf is not None}


def _digest(arrays: Mapping[str, Any]) -> str:
  digest = hashlib.blake2b(digest_size=16)
  for name in sorted(arrays):
    array = np.asarray(arrays[name])
    digest.update(f'{name} {array.dtype} {array.shape}'.encode())
    digest.update(np.ascontiguousarray(array).tobytes())
  return digest.hexdigest()

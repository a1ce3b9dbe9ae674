"""The checkpoints of a workdir: host arrays and a header each.

A checkpoint holds nested dicts of arrays, so any code can read it on any number
of devices and processes. One process writes it. Digests detect damage.
"""

from collections.abc import Mapping
import json
import os
import shutil
from typing import Any, Self

import ml_collections
import numpy as np

from inception import paths
from inception.checkpoints import arrays, header, reading, tidy
from inception.checkpoints.orbax_io import OrbaxIO
from inception.checkpoints.scores import Scores
from inception.config import compare
from inception.errors import UserError, reason
from inception.files import json_text

_FOLDER = 'checkpoints'
_DAMAGED = 'damaged'


class NotWrittenError(UserError):
  """A checkpoint could not be written; earlier ones are kept."""


class Checkpoints:
  """The checkpoints of a workdir. A context manager that closes them.

  Attributes:
    folder: The folder that holds them.
    scores: Evaluation results of these checkpoints.
  """

  def __init__(self, workdir: paths.Path, keep: int | None = None):
    """Opens a workdir.

    Args:
      workdir: Workdir of the run.
      keep: Checkpoints to keep: the N most recent, plus the best by top-1.
        None opens them read-only.

    Raises:
      UserError: The workdir cannot be written.
    """
    paths.check_name(workdir)
    self.folder = workdir.absolute() / _FOLDER
    self._keep = keep
    self._latest = 0
    self.scores = Scores(self.folder)
    self._io = OrbaxIO()
    if keep is not None:
      paths.make_writable(self.folder)
      tidy.delete_unfinished(self.folder)

  def __enter__(self) -> Self:
    return self

  def __exit__(self, error_type: object, *error: object) -> None:
    try:
      self._io.close()
    except Exception as failure:
      # The last write has failed, and `wait` has not raised it. An error of the
      # block takes precedence.
      if error_type is None:
        raise self._not_written(failure) from failure

  def steps(self) -> list[int]:
    """Returns the steps of all checkpoints, damaged or not, in order."""
    try:
      with os.scandir(self.folder) as entries:
        names = [entry.name for entry in entries if entry.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
      return []
    except OSError as error:
      raise UserError(f'cannot list {self.folder}: {error.strerror}') from error
    return sorted(int(name) for name in names if name.isdecimal())

  def save(
    self,
    flat: Mapping[str, Any],
    config: ml_collections.ConfigDict,
    interval: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
    digest: str | None = None,
    patience: Mapping[str, Any] | None = None,
  ) -> None:
    """Writes a state in the background; waits for the previous write.

    Args:
      flat: Host arrays by name, with `step`, from `arrays.flatten`.
      config: Config of the run; stored in the checkpoint.
      interval: Sums of the metrics since the last logged step.
      data: What the run was trained on.
      digest: `arrays.digest` of the state, if already known.
      patience: `Patience.state` of the run.

    Raises:
      NotWrittenError: The disk is full, or this or the previous write failed.
    """
    step = int(flat['step'])
    # If a write fails halfway, Orbax's threads print pages of tracebacks.
    needed = sum(np.asarray(array).nbytes for array in flat.values())
    free = shutil.disk_usage(self.folder).free
    if free < needed:
      raise self._not_written(f'it needs {needed:,} bytes, {free:,} are free')
    fields = {
      'config': json.loads(compare.to_json(config)),
      'step': step,
      'interval': dict(interval or {}),
      'data': dict(data or {}),
      'patience': patience,
      'evaluated': [s for s in self.steps() if self.scores.of(s) is not None],
      'arrays': digest or arrays.digest(flat),
    }
    try:
      state = arrays.unflatten(flat)
      self._io.save(self._path(step), state, json_text.seal(fields))
    except Exception as error:
      raise self._not_written(error) from error
    self._latest = step

  def wait(self) -> None:
    """Waits until the last checkpoint is written, then deletes old ones.

    Raises:
      NotWrittenError: It could not be written.
    """
    try:
      self._io.wait()
    except Exception as error:
      tidy.delete_unfinished(self.folder)
      raise self._not_written(error) from error
    self._prune()

  def save_scores(self, step: int, scores: Mapping[str, float]) -> None:
    """Adds the results of an evaluation to the checkpoint of a step, if any.

    Raises:
      NotWrittenError: The checkpoint or the scores could not be written.
    """
    self.wait()
    path = self._path(step)
    try:
      if path.exists():
        header.write_scores(path, header.read_header(path)['arrays'], scores)
    except (UserError, OSError, ValueError) as error:
      raise NotWrittenError(str(error)) from error

  def load(self, step: int) -> reading.Checkpoint:
    """Reads a checkpoint.

    Args:
      step: One of `steps()`.

    Raises:
      DamagedCheckpointError: Its content is wrong.
      UserError: It cannot be read, even after retries.
    """
    return reading.read(self._io, self._path(step))

  def load_config(self, step: int) -> ml_collections.ConfigDict:
    """Reads the config of a checkpoint, without its arrays.

    Raises:
      UserError: The header is damaged.
    """
    return reading.read_config(self._path(step))

  def set_aside_after(self, step: int) -> None:
    """Moves away the checkpoints after `step`, which were damaged and skipped.

    Raises:
      UserError: One cannot be moved.
    """
    for other in self.steps():
      if other > step:
        tidy.set_aside(self._path(other), self.folder.parent / _DAMAGED)

  def _path(self, step: int) -> paths.Path:
    return self.folder / str(step)

  def _prune(self) -> None:
    if self._keep is None:
      return
    # Later ones were not written by this run.
    steps = [step for step in self.steps() if step <= self._latest]
    kept = {*steps[-self._keep :], *self.scores.best_first(self.steps())[:1]}
    kept |= self.scores.lost(steps)
    for step in steps:
      if step not in kept:
        tidy.delete(self._path(step))

  def _not_written(self, error: Exception | str) -> NotWrittenError:
    return NotWrittenError(
      f'cannot write a checkpoint to {self.folder}: {reason(error)};'
      ' earlier checkpoints are kept; free some space'
    )

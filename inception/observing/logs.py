"""Logs of a run: progress on the terminal, metrics to files."""

from collections.abc import Mapping
import datetime
import math
import sys
import time
from typing import Any

import ml_collections
import tqdm

from inception import paths
from inception.config import compare
from inception.errors import count, warn
from inception.observing.metrics import format_row, open_after
from inception.observing.tensorboard import EventFile
from inception.observing.trackers import Tracker

# Results of an evaluation.
_RESULTS = ('examples', 'loss', 'top1', 'top5')


class Logs:
  """Writes the metrics of a run to its workdir and to the terminal.

  A terminal gets a progress bar, anything else plain lines. The same metrics go
  to TensorBoard event files, to metrics.jsonl, one JSON object per line, and to
  the tracker of the config, if any.
  """

  def __init__(
    self,
    workdir: paths.Path,
    config: ml_collections.ConfigDict,
    first_step: int,
    total_steps: int,
    go_on: bool,
  ):
    """Opens the logs; rows for steps after `first_step` are deleted.

    Args:
      workdir: Workdir of the run.
      config: The whole config.
      first_step: Steps already taken.
      total_steps: Steps of the whole run.
      go_on: If a row cannot be written, retry later instead of raising.

    Raises:
      UserError: A file cannot be written, or a package is missing.
    """
    self._total_steps = total_steps
    self._go_on = go_on
    self._warned = False
    self._file, rows = open_after(workdir, first_step)
    self._results = {
      row['step']: row for row in rows if row['split'] != 'train'
    }
    self._tensorboard = EventFile(workdir / 'tensorboard', rows)
    self._tracker: Tracker | None = None
    if config.tracker is not None:
      fields = compare.flatten(config)
      self._tracker = Tracker(config.tracker, workdir, fields, rows)
    self._bar = tqdm.tqdm(
      total=total_steps,
      initial=first_step,
      disable=not sys.stderr.isatty(),
      unit='step',
      dynamic_ncols=True,
    )

  def results(self, step: int) -> dict[str, float] | None:
    """Returns an evaluation's results if logged before the run was resumed."""
    row = self._results.get(step)
    if row is None or not row.keys() >= set(_RESULTS):
      return None
    return {name: row[name] for name in _RESULTS}

  def train(
    self,
    step: int,
    metrics: Mapping[str, float],
    seconds_per_step: float,
  ) -> None:
    """Logs an interval of training.

    Args:
      step: Steps taken.
      metrics: `epoch`, `loss`, `top1`, `learning_rate`, `images_per_second`,
        and `skipped_updates` where updates may be skipped.
      seconds_per_step: Mean over the interval.
    """
    seconds_left = round((self._total_steps - step) * seconds_per_step)
    self._write(step, 'train', {**metrics, 'seconds_left': seconds_left})
    skipped = metrics.get('skipped_updates')
    words = (
      f'epoch {metrics["epoch"]:.2f}  loss {metrics["loss"]:.4f}'
      f'  top-1 {metrics["top1"]:.1%}'
      f'  learning rate {metrics["learning_rate"]:.3g}'
      f'  {metrics["images_per_second"]:.1f} images/s'
      + (f'  {skipped:.0f} updates skipped' if skipped else '')
    )
    if self._bar.disable:
      left = datetime.timedelta(seconds=seconds_left)
      self.say(f'step {step}/{self._total_steps}  {words}  {left} left')
    else:
      self._bar.set_postfix_str(words, refresh=False)
      self._bar.update(step - self._bar.n)

  def evaluation(
    self, step: int, split: str, results: Mapping[str, Any]
  ) -> None:
    """Logs the results of `evaluate.evaluate`."""
    self._write(step, split, results)
    self.say(
      f'step {step}/{self._total_steps}  {split}:'
      f' {count(results["examples"], "example")}  loss {results["loss"]:.4f}'
      f'  top-1 {results["top1"]:.2%}  top-5 {results["top5"]:.2%}'
    )

  def say(self, line: str) -> None:
    """Prints a line, above the progress bar if there is one."""
    self._bar.write(line)
    sys.stdout.flush()

  def close(self) -> None:
    """Closes the files and the progress bar."""
    self._bar.close()
    if self._tracker is not None:
      self._tracker.close()
    self._tensorboard.close()
    self._file.close()

  def _write(self, step: int, split: str, values: Mapping[str, float]) -> None:
    # JSON has no NaN, which is the mean over zero steps.
    numbers = {k: v for k, v in values.items() if not math.isnan(v)}
    row = {'step': step, 'split': split, **numbers, 'time': time.time()}
    if self._tracker is not None:
      self._tracker.write(row)
    for write in (
      lambda: self._file.append(format_row(row)),
      lambda: self._tensorboard.write(row),
    ):
      try:
        write()
      except OSError as error:
        if not self._go_on:
          raise
        if not self._warned:
          warn(f'cannot write metrics: {error.strerror}; will retry')
        self._warned = True


class NoLogs:
  """Stands in for `Logs` in all processes but the first."""

  def results(self, step: int) -> None:
    """Returns None."""

  def train(self, *_: object) -> None:
    """Logs nothing."""

  def evaluation(self, *_: object) -> None:
    """Logs nothing."""

  def say(self, line: str) -> None:
    """Prints nothing."""

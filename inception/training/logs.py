"""Logs of a run: progress on the terminal, metrics to files."""

from collections.abc import Mapping
import datetime
import json
import pathlib
import sys
from typing import Any

from tensorboard import summary
import tqdm

from inception.metrics import open_after


class Logs:
  """Writes the metrics of a run to its workdir and to the terminal.

  A terminal gets a progress bar, anything else plain lines. The same metrics go
  to TensorBoard event files and to metrics.jsonl, one JSON object per line.
  """

  def __init__(self, workdir: pathlib.Path, first_step: int, total_steps: int):
    """Opens the logs; lines for steps after `first_step` are deleted."""
    self._total_steps = total_steps
    self._file = open_after(workdir, first_step)
    self._tensorboard = summary.Writer(str(workdir / 'tensorboard'))
    self._bar = tqdm.tqdm(
      total=total_steps,
      initial=first_step,
      disable=not sys.stderr.isatty(),
      unit='step',
      dynamic_ncols=True,
    )

  def train(
    self,
    step: int,
    metrics: Mapping[str, float],
    seconds_per_step: float,
  ) -> None:
    """Logs an interval of training.

    Args:
      step: Steps taken.
      metrics: `epoch`, `loss`, `top1`, `learning_rate`, `images_per_second`.
      seconds_per_step: Mean over the interval.
    """
    seconds_left = round((self._total_steps - step) * seconds_per_step)
    self._write(step, 'train', {**metrics, 'seconds_left': seconds_left})
    words = (
      f'epoch {metrics["epoch"]:.2f}  loss {metrics["loss"]:.4f}'
      f'  top-1 {metrics["top1"]:.1%}'
      f'  learning rate {metrics["learning_rate"]:.3g}'
      f'  {metrics["images_per_second"]:.0f} images/s'
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
      f' {results["examples"]} examples  loss {results["loss"]:.4f}'
      f'  top-1 {results["top1"]:.2%}  top-5 {results["top5"]:.2%}'
    )

  def say(self, line: str) -> None:
    """Prints a line, above the progress bar if there is one."""
    self._bar.write(line)
    sys.stdout.flush()

  def close(self) -> None:
    """Closes the files and the progress bar."""
    self._bar.close()
    self._tensorboard.close()
    self._file.close()

  def _write(self, step: int, split: str, values: Mapping[str, float]) -> None:
    self._file.write(
      json.dumps({'step': step, 'split': split, **values}) + '\n'
    )
    self._file.flush()
    for name, value in values.items():
      self._tensorboard.add_scalar(f'{split}/{name}', value, step)
    self._tensorboard.flush()

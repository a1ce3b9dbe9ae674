"""Progress of a sweep: one line per ended run, and the HTML page."""

import sys
import time

import tqdm

from inception.sweeps import grid, hparams, sweep_report
from inception.sweeps import sweep_folder as f

# Seconds between updates of the page during the sweep.
_PAGE_SECONDS = 60.0


class Progress:
  """Prints how each run ended, and keeps the page up to date."""

  def __init__(self, folder: f.SweepFolder, total: int):
    """Shows a progress bar for `total` runs."""
    self._folder = folder
    self._total = total
    self._count = 0
    self._page = time.monotonic()
    self._bar = tqdm.tqdm(
      total=total, unit='run', disable=not sys.stderr.isatty()
    )

  def ended(self, run: grid.Run, status: f.Status) -> None:
    """Prints and records a run that has ended."""
    hparams.record(self._folder, run, status)
    self._count += 1
    self._bar.update()
    line = f'{self._count}/{self._total}  {run.name}  {status.status}'
    if status.reason:
      line += f': {status.reason}'
    else:
      line += f'  {status.seconds:.0f} s'
    self._bar.write(line)
    sys.stdout.flush()
    if self._count < self._total:
      if time.monotonic() - self._page > _PAGE_SECONDS:
        sweep_report.write(self._folder)
        self._page = time.monotonic()
    else:
      self._bar.close()

"""A sweep to run: its runs, and how they are started."""

from collections.abc import Callable, Sequence
import dataclasses

from inception.sweeps import sweep_folder as f
from inception.sweeps.grid import Run


@dataclasses.dataclass(frozen=True)
class EngineOptions:
  """How runs are started; each engine reads the options it supports.

  Attributes:
    parallel: Runs at a time; None: one per accelerator.
    devices_per_run: Accelerators per run.
    metric: Evaluation metric by which runs are compared.
    stop_early: Ray stops bad runs early.
    address: Address of a Ray cluster; None starts Ray on this machine.
    slurm: Parameters of submitit, as 'name=value'.
  """

  parallel: int | None = None
  devices_per_run: int = 1
  metric: str = 'top1'
  stop_early: bool = False
  address: str | None = None
  slurm: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class Job:
  """A sweep to run.

  Attributes:
    folder: Its folder.
    runs: Its runs, checked.
    ended: Called with each run that has ended.
    options: How they are started.
  """

  folder: f.SweepFolder
  runs: Sequence[Run]
  ended: Callable[[Run, f.Status], None]
  options: EngineOptions = EngineOptions()

  def left(self) -> list[Run]:
    """Returns the runs that have not ended; reports the others."""
    left = []
    for run in self.runs:
      if status := self.folder.ended(run.name):
        self.ended(run, status)
      else:
        left.append(run)
    return left

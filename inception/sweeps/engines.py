"""The engines that start runs: local processes, Ray and Slurm."""

from collections.abc import Callable, Mapping
import dataclasses

from inception.sweeps import local
from inception.sweeps.job import Job
from inception.sweeps.places import find_places
from inception.sweeps.process import Place


@dataclasses.dataclass(frozen=True)
class Engine:
  """Starts runs. All engines write the same files to the sweep's folder.

  Attributes:
    check: Raises UserError if the engine cannot be used; starts no run.
    run: Runs the job and returns when all runs have ended.
    describe: Returns text that --dry_run adds, such as the sbatch script.
  """

  check: Callable[[Job], object]
  run: Callable[[Job], None]
  describe: Callable[[Job], str] = lambda _: ''


def _places(job: Job) -> list[Place]:
  return find_places(job.options.parallel, job.options.devices_per_run)


def _local() -> Engine:
  def run(job: Job) -> None:
    local.run_all(job.folder, job.runs, _places(job), job.ended)

  return Engine(_places, run)


def _ray() -> Engine:
  from inception.sweeps import ray_tune  # An optional package.

  return Engine(ray_tune.connect, ray_tune.run_all)


def _slurm() -> Engine:
  from inception.sweeps import slurm  # An optional package.

  return Engine(slurm.make_executor, slurm.run_all, slurm.script)


# Each makes an engine, or raises UserError if its package is missing.
ENGINES: Mapping[str, Callable[[], Engine]] = {
  'local': _local,
  'ray': _ray,
  'slurm': _slurm,
}

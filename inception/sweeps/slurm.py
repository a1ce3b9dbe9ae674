"""The Slurm engine: one array job with a task per run, through submitit.

A task that is preempted or reaches its time limit is requeued, and resumes. All
nodes must share the folder of the sweep.
"""

from collections.abc import Sequence
import dataclasses
from typing import Any

from inception import paths
from inception.errors import UserError
from inception.sweeps import sweep_folder as f
from inception.sweeps.grid import Run
from inception.sweeps.job import Job
from inception.sweeps.process import TRAIN, Place, Process, run_to_end

try:
  import submitit
  from submitit.slurm import slurm
except ImportError as missing:
  raise UserError(
    "--engine=slurm needs submitit; pip install 'inception-jax[sweeps]'"
  ) from missing


class Task:
  """A run as a task of an array job."""

  def __init__(self, folder: str, run: Run, command: Sequence[str]):
    """Stores what the task needs; submitit pickles it."""
    self._folder = folder
    self._run = run
    self._command = tuple(command)
    self._process: Process | None = None

  def __call__(self) -> str:
    """Trains until the run ends; returns its status."""

    def remember(process: Process) -> None:
      self._process = process

    folder = f.SweepFolder(paths.resolve(self._folder))
    return run_to_end(
      folder, self._run, Place(), self._command, remember
    ).status

  def checkpoint(self) -> Any:
    """Saves and requeues; submitit calls it before the task loses its node."""
    if self._process is not None:
      self._process.stop()
      self._process.wait()
    again = Task(self._folder, self._run, self._command)
    return submitit.helpers.DelayedSubmission(again)


def make_executor(job: Job, cluster: str = 'slurm') -> Any:
  """Returns submitit's executor with the parameters of --slurm.

  The clusters 'local' and 'debug' run the tasks on this machine.

  Raises:
    UserError: Slurm is not installed, or does not know a parameter.
  """
  options = job.options
  parameters = dict(_parameter(text) for text in options.slurm)
  if options.parallel is not None:
    parameters['array_parallelism'] = options.parallel
  logs = str(job.folder.path.absolute() / 'slurm')
  executor: Any
  try:
    if cluster == 'slurm':
      executor = slurm.SlurmExecutor(folder=logs, max_num_timeout=1000)
      executor.update_parameters(job_name=job.folder.path.name, **parameters)
    else:
      executor = submitit.AutoExecutor(folder=logs, cluster=cluster)
  except (RuntimeError, ValueError, TypeError) as error:
    reason = ' '.join(str(error).split())[:300]
    raise UserError(f'cannot submit to Slurm: {reason}') from error
  return executor


def script(job: Job) -> str:
  """Returns the sbatch script of the array job."""
  executor = make_executor(job)
  command = executor._submitit_command_str
  text: str = slurm._make_sbatch_string(
    command=command,
    folder=executor.folder,
    map_count=len(job.runs),
    **executor.parameters,
  )
  return text


def submit(
  job: Job, cluster: str = 'slurm', command: Sequence[str] = TRAIN
) -> list[Any]:
  """Submits the array job; returns submitit's jobs."""
  folder = str(job.folder.path.absolute())
  tasks = [Task(folder, run, command) for run in job.runs]
  executor = make_executor(job, cluster)
  with executor.batch():
    return [executor.submit(task) for task in tasks]


def run_all(job: Job) -> None:
  """Submits the array job and waits for its tasks.

  The sweep may be stopped and started again meanwhile; tasks keep running.
  """
  left = job.left()
  if left:
    jobs = submit(dataclasses.replace(job, runs=left))
    print(f'submitted: job {jobs[0].job_id.partition("_")[0]}')
    for run, submitted in zip(left, jobs):
      submitted.wait()
      status = job.folder.status(run.name)
      job.ended(run, status or f.Status(f.FAILED, reason='lost by Slurm'))


def _parameter(text: str) -> tuple[str, Any]:
  name, found, value = text.partition('=')
  if not found:
    raise UserError(f'--slurm={text} has no value; try --slurm=time=60')
  return name, int(value) if value.isdecimal() else value

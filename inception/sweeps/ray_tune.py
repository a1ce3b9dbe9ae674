"""The Ray engine: each run is a trial of Ray Tune, on one machine or a cluster.

All machines must share the folder of the sweep. A trial starts a training
process, so a run has the same files as with any other engine.
"""

from collections.abc import Mapping, Sequence
import logging
import os
import socket
import time
from typing import Any

from inception import paths
from inception.errors import UserError
from inception.observing import metrics
from inception.sweeps import local
from inception.sweeps import sweep_folder as f
from inception.sweeps.grid import Run
from inception.sweeps.job import EngineOptions, Job
from inception.sweeps.process import TRAIN, Place, run_to_end

try:
  import ray
  from ray import tune
except ImportError as missing:
  raise UserError(
    "--engine=ray needs Ray; pip install 'inception-jax[sweeps]'"
  ) from missing

# Restarts of a trial whose machine was lost.
_RETRIES = 3
# ASHA compares runs after 1, 2, 4, ... evaluations, and stops the worse half.
_REDUCTION = 2
_MOST_EVALUATIONS = 1000
# Longest wait for a stopped trial to release its lock.
_ENDING_SECONDS = 30.0
_ANSWER_SECONDS = 10.0


def connect(job: Job) -> None:
  """Starts Ray on this machine, or connects to a cluster.

  Raises:
    UserError: The cluster does not answer.
  """
  address = job.options.address
  if address is not None:
    _check_address(address)
  os.environ.setdefault('RAY_AIR_NEW_OUTPUT', '0')
  os.environ.setdefault('RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO', '0')
  options: dict[str, Any] = {} if address else {'include_dashboard': False}
  try:
    ray.init(
      address=address,
      log_to_driver=False,
      logging_level=logging.ERROR,
      **options,
    )
  except (ConnectionError, ValueError, RuntimeError) as error:
    reason = ' '.join(str(error).split())[:200]
    raise UserError(f'cannot connect to Ray at {address}: {reason}') from error


def _check_address(address: str) -> None:
  """Checks that the port is open; Ray itself would retry for minutes."""
  host, colon, port = address.removeprefix('ray://').rpartition(':')
  if not colon or not port.isdecimal():
    raise UserError(f'--address={address} is not HOST:PORT')
  try:
    socket.create_connection((host, int(port)), _ANSWER_SECONDS).close()
  except OSError as error:
    raise UserError(
      f'cannot connect to Ray at {address}: {error.strerror or error}'
    ) from error


def run_all(job: Job, command: Sequence[str] = TRAIN) -> None:
  """Runs all runs as trials of Ray Tune.

  Raises:
    SystemExit: A signal stopped the sweep.
  """
  left = job.left()
  if not left:
    return
  options = job.options
  watcher = _Watcher(job, left)
  settings = {
    'folder': str(job.folder.path.absolute()),
    'runs': {run.name: run for run in left},
    'metric': options.metric,
    'command': tuple(command),
  }
  trial = tune.with_parameters(_trial, settings=settings)
  tuner = tune.Tuner(
    tune.with_resources(trial, _resources(options)),
    param_space={'run': tune.grid_search([run.name for run in left])},
    tune_config=tune.TuneConfig(
      metric=options.metric,
      mode='max',
      scheduler=_scheduler() if options.stop_early else None,
      max_concurrent_trials=options.parallel,
      trial_dirname_creator=lambda trial: trial.trial_id,
    ),
    run_config=tune.RunConfig(
      name=f'ray-{time.time_ns()}',
      storage_path=str(job.folder.path.absolute() / 'ray'),
      failure_config=tune.FailureConfig(max_failures=_RETRIES),
      verbose=0,
      callbacks=[watcher],
    ),
  )
  tuner.fit()
  for run in watcher.cut:
    job.ended(run, _mark_stopped(job.folder, run))
  if watcher.count < len(left):
    print(local.STOPPED, flush=True)
    raise SystemExit(130)


def _scheduler() -> Any:
  return tune.schedulers.ASHAScheduler(
    max_t=_MOST_EVALUATIONS, grace_period=1, reduction_factor=_REDUCTION
  )


def _resources(options: EngineOptions) -> dict[str, float]:
  """Returns the resources of a trial: accelerators if any, otherwise CPUs."""
  there = ray.cluster_resources()
  for name in ('GPU', 'TPU'):
    if there.get(name):
      return {'CPU': 1, name: options.devices_per_run}
  return {'CPU': max(1, there.get('CPU', 1) // (options.parallel or 1))}


class _Watcher(tune.Callback):
  """Reports trials that have ended, in the process that started them."""

  def __init__(self, job: Job, runs: Sequence[Run]):
    self._job = job
    self._runs = {run.name: run for run in runs}
    self.count = 0
    self.cut: list[Run] = []  # Stopped by ASHA; their processes may still run.

  def on_trial_complete(
    self, iteration: int, trials: list[Any], trial: Any, **info: Any
  ) -> None:
    """Reports a trial that has ended, or notes that ASHA stopped it."""
    run = self._runs[trial.config['run']]
    self.count += 1
    if status := self._job.folder.ended(run.name):
      self._job.ended(run, status)
    else:
      self.cut.append(run)

  def on_trial_error(
    self, iteration: int, trials: list[Any], trial: Any, **info: Any
  ) -> None:
    """Records and reports a trial that has no retries left."""
    run = self._runs[trial.config['run']]
    status = f.Status(f.FAILED, reason=str(trial.error_file or 'lost by Ray'))
    self._job.folder.set_status(run.name, status)
    self.count += 1
    self._job.ended(run, status)


def _mark_stopped(folder: f.SweepFolder, run: Run) -> f.Status:
  """Records that a run was stopped early, once its process has exited."""
  status = folder.status(run.name) or f.Status(f.STARTED)
  latest = time.monotonic() + _ENDING_SECONDS
  while time.monotonic() < latest:
    with folder.lock(run.name) as locked:
      if locked:
        if ended := folder.ended(run.name):  # It ended by itself first.
          return ended
        ended = f.Status(f.STOPPED_EARLY, status.starts, status.seconds)
        folder.set_status(run.name, ended)
        return ended
    time.sleep(0.1)
  return status


def _trial(config: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
  """Trains in a Ray worker, and reports evaluations to Tune."""
  folder = f.SweepFolder(paths.resolve(settings['folder']))
  run: Run = settings['runs'][config['run']]
  metric = settings['metric']
  reported = 0

  def report(*_: Any) -> None:
    nonlocal reported
    values = metrics.evaluations(folder.workdir(run.name), metric)
    for step, value in values[reported:]:
      tune.report({metric: value, 'step': step})
    reported = len(values)

  run_to_end(folder, run, Place(), settings['command'], report)
  report()

"""The training loop: from a config and a workdir to a trained network.

Read this first. `train` checks and completes the config, builds the programs,
restores or creates the state, and takes steps.
"""

from collections.abc import Sequence
import contextlib

import jax
import ml_collections

from inception import paths
from inception.checkpoints.lock import WorkdirLock
from inception.errors import UserError, warn
from inception.observing.start_times import Startup
from inception.processes import distributed
from inception.processes.consensus import StoppedError
from inception.training import start as starts
from inception.training.preflight import prepare
from inception.training.recipe.state import TrainState
from inception.training.run import Run, start_run


def train(
  config: ml_collections.ConfigDict,
  workdir: paths.PathLike,
  devices: Sequence[jax.Device] | None = None,
  stop_at_step: int | None = None,
  began: float | None = None,
  profile_steps: range = range(0),
) -> TrainState:
  """Trains, resuming from the newest good checkpoint of the workdir.

  With several processes, each of them calls this with the same arguments.

  Args:
    config: Fields as in inception/config/default.py.
    workdir: Folder of the run, shared by all processes; created if missing.
    devices: Devices of all processes; None takes all.
    stop_at_step: Save a checkpoint and stop after this step; can be resumed.
    began: `time.monotonic` at the start of the process; None: now.
    profile_steps: Steps to profile, counted from 1.

  Returns:
    The last state.

  Raises:
    UserError: Config, data or workdir cannot be used, the loss is not finite,
      or a checkpoint cannot be written.
    SystemExit: A signal stopped the run; its state is saved.
  """
  workdir = paths.resolve(workdir)
  devices = list(devices or distributed.all_devices())
  with contextlib.ExitStack() as stack:
    startup = stack.enter_context(Startup(began))
    startup.mark('imports')
    lock: WorkdirLock | None = None
    with distributed.agreed():
      if distributed.is_first():
        lock = stack.enter_context(WorkdirLock(workdir))
    prepared = prepare(config, workdir, devices)
    startup.mark('data')
    with distributed.agreed():
      state = starts.first_state(prepared.start, prepared.training, workdir)
      if lock is not None:
        lock.make_workdir()
    run = start_run(stack, prepared, state, workdir, startup, profile_steps)
    total = prepared.training.duration.steps
    steps = range(int(state.step) + 1, min(stop_at_step or total, total) + 1)
    state = distributed.replicate(state, devices)
    startup.mark('state')
    return _take_steps(run, state, steps)


def _take_steps(run: Run, state: TrainState, steps: range) -> TrainState:
  """Takes steps, counted from 1; logs, saves and evaluates when due."""
  step, stopped = steps.start - 1, _evaluate_if_missing(run, state, steps)
  if stopped or run.patience.exhausted:
    steps = range(0)
  for step in steps:
    state = _take_step(run, state, step, is_first=step == steps.start)
    stopped = _after_step(run, state, step, is_last=step == steps[-1])
    if stopped or run.patience.exhausted:
      break
  run.saver.finish()
  _end(run, step, stopped)
  total = run.training.duration.steps
  if not steps and not run.patience.exhausted:
    run.logs.say(f'already at step {step} of {total}: nothing to do')
  elif step < total and not run.patience.exhausted:
    run.logs.say(
      f'stopped after step {step} of {total}; repeat the command without'
      ' --stop_at_step to continue'
    )
  return state


def _take_step(
  run: Run, state: TrainState, step: int, is_first: bool
) -> TrainState:
  """Takes a step; waits for the first one and logs the startup times."""
  batch = next(run.batches)
  if is_first:
    run.startup.mark('first batch')
  with run.profile.step(step, state):
    state, metrics = run.training.step(state, batch)
  run.profile.after(step, metrics)
  run.meter.add(metrics)
  if is_first:
    jax.block_until_ready(metrics)
    run.startup.mark('first step')
    run.logs.say(run.startup.describe())
  return state


def _after_step(run: Run, state: TrainState, step: int, is_last: bool) -> bool:
  """Logs, saves and evaluates when due; returns True on a stop signal."""
  config, duration = run.training.config, run.training.duration
  verdict = run.consensus.decide()
  if step == duration.steps or step % config.log_every_steps == 0:
    _log(run, step)
  at_end = is_last or verdict.stop
  is_due = duration.is_due(step, config.checkpoint_every_epochs)
  if saved := at_end or is_due or verdict.save:
    _save(run, state, at_end)
  if verdict.stop or not _is_evaluated(run, step):
    return verdict.stop
  # After the checkpoint, so that a failure here loses no steps.
  stopped = _evaluate(run, state, step)
  if (stopped or run.patience.exhausted) and not saved:
    _save(run, state, at_end=True)
  return stopped


def _log(run: Run, step: int) -> None:
  means, seconds_per_step = run.meter.read()
  epoch = step / run.training.duration.steps_per_epoch
  run.logs.train(step, {'epoch': epoch, **means}, seconds_per_step)


def _save(run: Run, state: TrainState, at_end: bool) -> None:
  # Raises if the loss is not finite: such a state must not be saved.
  interval, patience = run.meter.interval(), run.patience.state
  run.saver.save(state, interval, patience, at_end)
  run.consensus.saved()
  run.meter.restart_clock()


def _is_evaluated(run: Run, step: int) -> bool:
  duration = run.training.duration
  every = run.training.config.eval_every_epochs
  return step == duration.steps or duration.is_due(step, every)


def _evaluate(run: Run, state: TrainState, step: int) -> bool:
  """Evaluates and logs the results; returns True if a signal stopped it."""
  run.meter.fetch()
  try:
    results = run.evaluate(state.eval_variables())
  except StoppedError:
    return True
  except UserError as error:
    # Training can continue: later evaluations may succeed, and skipped ones can
    # be run from the checkpoints.
    run.failures.append(error)
    if distributed.is_first():
      warn(f'the evaluation at step {step} was skipped: {error}')
    return False
  run.logs.evaluation(step, run.training.config.data.eval_split, results)
  run.saver.save_scores(step, results)
  run.patience.add(step, results['top1'])
  run.meter.restart_clock()
  return False


def _evaluate_if_missing(run: Run, state: TrainState, steps: range) -> bool:
  """Evaluates a resumed run at its last step, if the log has no results."""
  step = steps.start - 1
  if step == 0 or not _is_evaluated(run, step):
    return False
  results = run.logs.results(step)
  if distributed.from_first(int(results is None)):
    return _evaluate(run, state, step)
  run.saver.save_scores(step, results or {})
  return False


def _end(run: Run, step: int, stopped: bool) -> None:
  """Ends a run: raises for skipped evaluations or a signal."""
  if stopped:
    run.logs.say(f'stopped at step {step}; start again to continue')
    raise SystemExit(128 + run.consensus.signal())
  if run.failures:
    raise UserError(
      f'evaluations skipped: {len(run.failures)}; training is complete up to'
      f' step {step}. Last error: {run.failures[-1]}'
    )
  if run.patience.exhausted:
    run.logs.say(
      f'stopped early at step {step}: no better top-1 in'
      f' {run.training.config.early_stopping_patience} evaluations'
    )

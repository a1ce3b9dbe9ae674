"""The loop: from a config and a workdir to a trained network.

Read this first. The config is checked and completed, everything that computes
is built from it, the state is restored or made, and steps are taken.
"""

from collections.abc import Callable, Iterator, Sequence
import contextlib
import dataclasses
import pathlib
from typing import Any

import jax
import ml_collections

from inception import distributed
from inception.checkpoints.store import Checkpoints
from inception.config import compare
from inception.data import device, pipeline
from inception.data.sources.catalog import open_source
from inception.data.sources.source import Source
from inception.evaluation import evaluate
from inception.predict import make_predictor
from inception.training import resolve, signals
from inception.training import start as starts
from inception.training.build import Training, build
from inception.training.logs import Logs
from inception.training.meter import Meter
from inception.training.state import TrainState
from inception.training.step import Batch


@dataclasses.dataclass(frozen=True)
class Run:
  """A started run.

  Attributes:
    training: What it computes with.
    batches: Training batches on the devices, from the first step on.
    evaluate: {'params', 'batch_stats'} to the results of the evaluation split.
    checkpoints: Where the state is saved.
    logs: Where the metrics go.
  """

  training: Training
  batches: Iterator[Batch]
  evaluate: Callable[[Any], dict[str, float]]
  checkpoints: Checkpoints
  logs: Logs


def train(
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
  devices: Sequence[jax.Device] | None = None,
  stop_at_step: int | None = None,
) -> TrainState:
  """Trains, resuming from the newest good checkpoint of the workdir.

  Args:
    config: Fields as in inception/config/default.py.
    workdir: Folder of the run; made if missing.
    devices: Local devices; None takes all.
    stop_at_step: Stop with a checkpoint after this step, to be resumed.

  Returns:
    The last state.

  Raises:
    UserError: Config, data or workdir cannot be used, the loss is not finite,
      or a checkpoint cannot be written.
  """
  devices = list(devices or distributed.local_devices())
  resolve.check(config, len(devices))
  train_source = open_source(config.data, config.data.train_split)
  eval_source = open_source(config.data, config.data.eval_split)
  start = starts.find_start(workdir, config)
  sources = train_source, eval_source
  config = resolve.complete(config, *sources, start.weights_config)
  training = build(config, devices, train_source.num_examples)
  state = starts.first_state(start, training, workdir)

  first, total = int(state.step), training.duration.steps
  last = min(stop_at_step or total, total)
  with Checkpoints(workdir, config.keep_checkpoints) as checkpoints:
    checkpoints.delete_after(first)
    if first >= last:
      print(f'{workdir} is at step {first} of {total}: nothing to do')
      return distributed.replicate(state, devices)
    (workdir / 'config.json').write_text(compare.to_json(config))
    with contextlib.closing(Logs(workdir, first, total)) as logs:
      logs.say(_describe(training, state, train_source))
      run = Run(
        training,
        _train_batches(training, train_source, first),
        _make_evaluate(training, eval_source),
        checkpoints,
        logs,
      )
      state = distributed.replicate(state, devices)
      return take_steps(run, state, range(first + 1, last + 1))


def take_steps(run: Run, state: TrainState, steps: range) -> TrainState:
  """Takes steps; logs, evaluates and saves when due.

  Args:
    run: A started run.
    state: State before the first step; donated.
    steps: Numbers of the steps, counted from 1.

  Returns:
    The state after the last step.

  Raises:
    UserError: As `train`.
    SystemExit: A signal stopped the run; its state is saved.
  """
  config, duration = run.training.config, run.training.duration
  meter = Meter(steps[0] - 1, config.batch_size)
  with signals.stop_signals() as received:
    for step in steps:
      state, metrics = run.training.step(state, next(run.batches))
      meter.add(metrics)
      stopped = bool(received)
      at_end = step == steps[-1] or stopped
      if at_end or step % config.log_every_steps == 0:
        means, seconds_per_step = meter.read()
        epoch = step / duration.steps_per_epoch
        run.logs.train(step, {'epoch': epoch, **means}, seconds_per_step)
      results = None
      is_last = step == duration.steps
      if is_last or duration.is_due(step, config.eval_every_epochs):
        meter.fetch()
        results = run.evaluate(state.eval_variables())
        run.logs.evaluation(step, config.data.eval_split, results)
        meter.restart_clock()
      if at_end or duration.is_due(step, config.checkpoint_every_epochs):
        meter.fetch()  # Raises for a loss that must not be saved.
        run.checkpoints.save(state, config, results)
        meter.restart_clock()
      if stopped:
        break
  run.checkpoints.wait()
  if stopped:
    run.logs.say(f'stopped at step {step}; start again to continue')
    raise SystemExit(128 + received[0])
  return state


def _train_batches(
  training: Training, source: Source, first_step: int
) -> Iterator[Batch]:
  config, devices = training.config, training.devices
  shard = pipeline.HostShard(config.batch_size, len(devices))
  batches = pipeline.train_batches(
    source, config.data, shard, config.seed, first_step
  )
  return device.prefetch(batches, devices)


def _make_evaluate(
  training: Training, source: Source
) -> Callable[[Any], dict[str, float]]:
  config, devices = training.config, training.devices
  shard = pipeline.HostShard(config.batch_size, len(devices))
  batches = pipeline.eval_batches(source, config.data, shard)
  eval_step = evaluate.make_eval_step(
    make_predictor(training.model, config.data), devices
  )

  def evaluate_split(variables: Any) -> dict[str, float]:
    return evaluate.evaluate(
      eval_step, variables, device.prefetch(batches, devices)
    )

  return evaluate_split


def _describe(training: Training, state: TrainState, source: Source) -> str:
  """Returns a line about what is going to run."""
  config, devices = training.config, training.devices
  size = config.data.image_size
  parameters = sum(leaf.size for leaf in jax.tree.leaves(state.params))
  return (
    f'{config.model.architecture}, {parameters:,} parameters,'
    f' {config.precision}, {size} x {size}; {source.name},'
    f' {source.num_examples:,} images; {len(devices)} x'
    f' {devices[0].device_kind}; from step {int(state.step)}'
  )

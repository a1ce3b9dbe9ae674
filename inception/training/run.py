"""A started run: its data, its outputs, and what its processes decide."""

from collections.abc import Callable, Iterator
import contextlib
import dataclasses
import json
from typing import Any

import jax
import ml_collections

from inception import paths
from inception.checkpoints.reading import Checkpoint
from inception.checkpoints.store import Checkpoints
from inception.config import compare
from inception.data import pipeline
from inception.data.batches import host_shard
from inception.data.corrupt import KnownCorrupt
from inception.data.device import feed
from inception.data.sources.source import Source
from inception.errors import UserError, count
from inception.evaluation import evaluate
from inception.files import json_text
from inception.observing import metrics
from inception.observing.logs import Logs, NoLogs
from inception.observing.meter import Meter
from inception.observing.profiling import Profile
from inception.observing.start_times import Startup
from inception.processes import distributed
from inception.processes.consensus import Consensus
from inception.processes.signals import stop_signals
from inception.processes.watchdog import Watchdog
from inception.training import record
from inception.training.build import Training
from inception.training.patience import Patience
from inception.training.preflight import Prepared
from inception.training.recipe.state import TrainState
from inception.training.recipe.step import Batch
from inception.training.saving import ON_FULL, Saver

Evaluate = Callable[[Any], dict[str, float]]


@dataclasses.dataclass(frozen=True)
class Run:
  """A started run.

  Attributes:
    batches: Training batches on the devices, from the first step on.
    evaluate: From {'params', 'batch_stats'} to results on the evaluation split.
    failures: Errors of skipped evaluations.
  """

  training: Training
  batches: Iterator[Batch]
  evaluate: Evaluate
  meter: Meter
  consensus: Consensus
  saver: Saver
  patience: Patience
  logs: Logs | NoLogs
  startup: Startup
  profile: Profile
  failures: list[UserError] = dataclasses.field(default_factory=list)


def start_run(
  stack: contextlib.ExitStack,
  prepared: Prepared,
  state: TrainState,
  workdir: paths.Path,
  startup: Startup,
  profile_steps: range,
) -> Run:
  """Opens the outputs and the data of a run; `stack` closes them.

  Raises:
    UserError: A file cannot be written; raised in all processes.
  """
  training, checkpoint = prepared.training, prepared.start.checkpoint
  config, first_step = training.config, int(state.step)
  checkpoints: Checkpoints | None = None
  logs: Logs | NoLogs = NoLogs()
  with distributed.agreed():
    if distributed.is_first():
      checkpoints, logs = _open_workdir(stack, prepared, state, workdir)
    else:
      profile_steps = range(0)
  consensus = Consensus(
    training.devices,
    watchdog=stack.enter_context(Watchdog(config.watchdog_minutes)),
    received=stack.enter_context(stop_signals()),
    minutes=config.checkpoint_every_minutes,
  )
  batches, evaluate_split = _open_data(prepared, first_step, consensus)
  return Run(
    training=training,
    batches=batches,
    evaluate=evaluate_split,
    meter=Meter(
      first_step, config, checkpoint.interval if checkpoint else None
    ),
    consensus=consensus,
    saver=Saver(checkpoints, config, record.describe_data(prepared.sources)),
    patience=Patience(
      config.early_stopping_patience,
      _earlier_evaluations(workdir, checkpoints, checkpoint),
      checkpoint.patience if checkpoint else None,
    ),
    logs=logs,
    startup=startup,
    profile=stack.enter_context(Profile(profile_steps, workdir / 'profile')),
  )


def _open_workdir(
  stack: contextlib.ExitStack,
  prepared: Prepared,
  state: TrainState,
  workdir: paths.Path,
) -> tuple[Checkpoints, Logs]:
  """Opens the outputs of the first process, and records the start."""
  training, sources = prepared.training, prepared.sources
  config, first_step = training.config, int(state.step)
  checkpoints = Checkpoints(workdir, config.keep_checkpoints)
  stack.enter_context(checkpoints)
  checkpoints.set_aside_after(first_step)
  _write_config(config, workdir)
  record.record_start(workdir, training, sources, first_step)
  go_on = ON_FULL[config.checkpoint.on_full]
  logs = Logs(workdir, config, first_step, training.duration.steps, go_on)
  stack.enter_context(contextlib.closing(logs))
  logs.say(_describe(training, state, sources[0]))
  return checkpoints, logs


def _write_config(
  config: ml_collections.ConfigDict, workdir: paths.Path
) -> None:
  fields = json_text.seal(json.loads(compare.to_json(config)))
  text = json_text.dump(fields, indent=2)
  paths.write_atomically(workdir / 'config.json', text)


def _earlier_evaluations(
  workdir: paths.Path,
  checkpoints: Checkpoints | None,
  checkpoint: Checkpoint | None,
) -> list[tuple[int, float]]:
  """Returns evaluations that may be missing from a checkpoint's patience.

  A checkpoint is saved before its own evaluation, whose result is in its scores
  or in the log. Versions up to 0.4 kept earlier ones in the log only.
  """
  if checkpoints is None or checkpoint is None:
    return []
  logged = metrics.evaluations(workdir)
  scores = checkpoints.scores.of(checkpoint.step)
  if scores is None or 'top1' not in scores:
    return logged
  others = [entry for entry in logged if entry[0] < checkpoint.step]
  return [*others, (checkpoint.step, scores['top1'])]


def _open_data(
  prepared: Prepared, first_step: int, consensus: Consensus
) -> tuple[Iterator[Batch], Evaluate]:
  """Returns training batches, and a function that evaluates the other split."""
  training = prepared.training
  config, devices = training.config, training.devices
  train_source, eval_source = prepared.sources
  shard = host_shard(config.batch_size, devices)
  known = KnownCorrupt(train_source, config.data.max_broken)
  batches = pipeline.train_batches(
    train_source, config.data, shard, config.seed, first_step, known
  )
  eval_batches = pipeline.eval_batches(eval_source, config.data, shard)

  def empty() -> Batch:
    return distributed.split(pipeline.empty_batch(config.data, shard), devices)

  def evaluate_split(variables: Any) -> dict[str, float]:
    on_devices = consensus.over_evaluation(
      feed.prefetch(eval_batches, devices), empty
    )
    return evaluate.evaluate(training.eval_step, variables, on_devices)

  on_devices = feed.prefetch(batches, devices)
  return consensus.over(on_devices, empty, known), evaluate_split


def _describe(training: Training, state: TrainState, source: Source) -> str:
  """Returns a log line that describes the run."""
  config, devices = training.config, training.devices
  size = config.data.image_size
  parameters = sum(leaf.size for leaf in jax.tree.leaves(state.params))
  processes = distributed.process_count()
  return (
    f'{config.model.architecture}, {parameters:,} parameters,'
    f' {config.precision}, {size} x {size}; {source.name},'
    f' {count(source.num_examples, "image")}; {len(devices)} x'
    f' {devices[0].device_kind}'
    + (f' in {processes} processes' if processes > 1 else '')
    + f'; step {int(state.step)} of {training.duration.steps}'
  )

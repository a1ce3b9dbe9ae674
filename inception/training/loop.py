"""The loop: from a config and a workdir to a trained network.

Read this first. Each part is made once and in order: data, schedule, model,
state; then the newest checkpoint is restored, and steps are taken.
"""

from collections.abc import Callable, Iterator, Sequence
import contextlib
import pathlib
import signal
from typing import Any

import jax
import ml_collections

from inception import config as config_lib
from inception.checkpoints import Checkpoints
from inception.data import datasets, device, pipeline
from inception.errors import UserError
from inception.evaluation import evaluate
from inception.modules.network import create_model
from inception.training import schedule as schedule_lib
from inception.training import start as start_lib
from inception.training.logs import Logs
from inception.training.meter import Meter
from inception.training.state import TrainState
from inception.training.step import AXIS, TrainStep, make_train_step


def train(
  config: ml_collections.ConfigDict,
  workdir: pathlib.Path,
  devices: Sequence[jax.Device] | None = None,
  stop_at_step: int | None = None,
) -> TrainState:
  """Trains, resuming from the newest good checkpoint of the workdir.

  Args:
    config: fields as in configs/default.py.
    workdir: of the run; made if missing.
    devices: local devices; None takes all.
    stop_at_step: stop with a checkpoint after this step; the run goes on when
      it is started again, as if it had not stopped.

  Returns:
    The last state.

  Raises:
    UserError: a config, data set or workdir that cannot be used; a loss that is
      not finite; a checkpoint that cannot be written.
  """
  devices = list(devices or jax.local_devices())
  config_lib.check(config, len(devices))
  train_source = datasets.open_source(config.data, config.data.train_split)
  eval_source = datasets.open_source(config.data, config.data.eval_split)
  config = with_classes(config, train_source, eval_source)

  duration = schedule_lib.make_duration(config, train_source.num_examples)
  schedule = schedule_lib.make_schedule(
    config.schedule, config.batch_size, duration
  )
  model = create_model(config.model, config.precision, AXIS, config.freeze)

  with contextlib.ExitStack() as stack:
    checkpoints = Checkpoints(workdir, config.keep_checkpoints)
    stack.callback(checkpoints.close)
    start = start_lib.find_start(checkpoints, config)
    config = start_lib.with_images(config, start)
    state = start_lib.make_state(start, checkpoints, config, model)
    first = int(state.step)
    state = device.replicate(state, devices)
    last = min(stop_at_step or duration.steps, duration.steps)
    if first >= last:
      print(f'{workdir} is at step {first} of {duration.steps}: nothing to do')
      return state

    (workdir / 'config.json').write_text(config_lib.to_json(config))
    logs = Logs(workdir, first, duration.steps)
    stack.callback(logs.close)
    logs.say(describe(config, state, train_source, devices))

    share = pipeline.Share(config.batch_size, len(devices))
    batches = pipeline.train_batches(
      train_source, config.data, share, config.seed, first
    )
    eval_step = evaluate.make_eval_step(model, config.data, devices)

    def evaluate_split(variables: Any) -> dict[str, float]:
      eval_batches = pipeline.eval_batches(eval_source, config.data, share)
      return evaluate.evaluate(
        eval_step, variables, device.prefetch(eval_batches, devices)
      )

    return take_steps(
      state,
      range(first + 1, last + 1),
      config,
      duration,
      make_train_step(config, model, schedule, devices),
      device.prefetch(batches, devices),
      evaluate_split,
      checkpoints,
      logs,
    )


def take_steps(
  state: TrainState,
  steps: range,
  config: ml_collections.ConfigDict,
  duration: schedule_lib.Duration,
  train_step: TrainStep,
  batches: Iterator[dict[str, jax.Array]],
  evaluate_split: Callable[[Any], dict[str, float]],
  checkpoints: Checkpoints,
  logs: Logs,
) -> TrainState:
  """Takes steps, and logs, evaluates and saves when it is time.

  Args:
    state: before the first step; its memory is used again.
    steps: numbers of the steps, counted from 1.
    config: a whole config.
    duration: of the run.
    train_step: of `make_train_step`.
    batches: on the devices, from the first step on.
    evaluate_split: {'params', 'batch_stats'} to results.
    checkpoints: where the state is saved.
    logs: where the numbers go.

  Returns:
    The state after the last step.

  Raises:
    UserError: as `train`.
    SystemExit: a signal stopped the run; its state is saved.
  """
  meter = Meter(steps[0] - 1, config.batch_size)
  with stop_signals() as signals:
    for step in steps:
      state, metrics = train_step(state, next(batches))
      meter.add(metrics)
      stopped = bool(signals)
      at_end = step == steps[-1] or stopped
      if at_end or step % config.log_every_steps == 0:
        means, seconds_per_step = meter.read()
        epoch = step / duration.steps_per_epoch
        logs.train(step, {'epoch': epoch, **means}, seconds_per_step)
      results = None
      if step == duration.steps or duration.is_due(
        step, config.eval_every_epochs
      ):
        meter.fetch()
        results = evaluate_split(state.eval_variables())
        logs.evaluation(step, config.data.eval_split, results)
        meter.restart_clock()
      if at_end or duration.is_due(step, config.checkpoint_every_epochs):
        # First the losses: what is saved must be good.
        meter.fetch()
        checkpoints.save(state, config, results)
        meter.restart_clock()
      if stopped:
        break
  checkpoints.wait()
  if stopped:
    logs.say(f'stopped at step {step}; start again to go on')
    raise SystemExit(128 + signals[0])
  return state


def with_classes(
  config: ml_collections.ConfigDict,
  train_source: datasets.Source,
  eval_source: datasets.Source,
) -> ml_collections.ConfigDict:
  """Returns a locked copy of the config with `model.num_classes` set.

  Raises:
    UserError: it contradicts the data, or the splits contradict each other.
  """
  if train_source.classes != eval_source.classes:
    odd = sorted(set(train_source.classes) ^ set(eval_source.classes))
    raise UserError(
      f'{train_source.name} and {eval_source.name} have different classes:'
      f' {", ".join(odd[:3])} in only one of them'
    )
  config = config.copy_and_resolve_references()
  in_data = len(train_source.classes) + config.data.class_offset
  if config.model.num_classes is None:
    config.model.num_classes = in_data
  if config.model.num_classes != in_data:
    raise UserError(
      f'model.num_classes={config.model.num_classes} contradicts the data:'
      f' {train_source.name} needs {in_data}; leave the field unset or set it'
      f' to {in_data}'
    )
  return config.lock()


@contextlib.contextmanager
def stop_signals() -> Iterator[list[int]]:
  """Yields a list that SIGTERM and SIGINT fill, so that a step can end first.

  A second signal has its usual effect.
  """
  received: list[int] = []
  kept: dict[signal.Signals, Any] = {}

  def handle(number: int, frame: Any) -> None:
    del frame
    received.append(number)
    signal.signal(number, kept[signal.Signals(number)])

  try:
    for number in (signal.SIGTERM, signal.SIGINT):
      kept[number] = signal.signal(number, handle)
  except ValueError:  # Not in the main thread, where signals do not arrive.
    pass
  try:
    yield received
  finally:
    for sent, handler in kept.items():
      signal.signal(sent, handler)


def describe(
  config: ml_collections.ConfigDict,
  state: TrainState,
  source: datasets.Source,
  devices: Sequence[jax.Device],
) -> str:
  """Returns a line about what is going to run."""
  size = config.data.image_size
  parameters = sum(leaf.size for leaf in jax.tree.leaves(state.params))
  return (
    f'{config.model.architecture}, {parameters:,} parameters,'
    f' {config.precision}, {size} x {size}; {source.name},'
    f' {source.num_examples:,} images; {len(devices)} x'
    f' {devices[0].device_kind}; from step {int(state.step)}'
  )

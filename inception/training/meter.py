"""Metrics of a log interval: kept on the devices, then averaged."""

import math
import time

import jax

from inception.errors import UserError

Metrics = dict[str, jax.Array]

# Steps dispatched ahead: enough to keep the devices busy while the host
# prepares the next batch, few enough to bound the memory of batches in flight.
STEPS_IN_FLIGHT = 2


class Meter:
  """Collects the metrics of steps and measures their speed."""

  def __init__(self, first_step: int, batch_size: int):
    """Starts before the step `first_step + 1`.

    Args:
      first_step: Steps taken before.
      batch_size: Images in the global batch.
    """
    self._step = first_step
    self._batch_size = batch_size
    self._on_devices: list[Metrics] = []
    self._on_host: list[dict[str, float]] = []
    # The first step compiles: it is not timed, unless it is the only one.
    self._timed_steps = -1
    self._start = self._first_start = time.perf_counter()

  def add(self, metrics: Metrics) -> None:
    """Adds the metrics of the next step; waits for the step before it."""
    self._on_devices.append(metrics)
    jax.block_until_ready(self._on_devices[-STEPS_IN_FLIGHT:][:1])
    if self._timed_steps < 0:
      jax.block_until_ready(metrics)
      self._start = time.perf_counter()
    self._timed_steps += 1

  def fetch(self) -> None:
    """Copies metrics to the host.

    Raises:
      UserError: A loss is not finite; names the first such step.
    """
    for metrics in jax.device_get(self._on_devices):
      self._step += 1
      loss = float(metrics['loss'])
      if not math.isfinite(loss):
        raise UserError(
          f'the loss is {loss} at step {self._step}; earlier checkpoints are'
          ' kept. Lower --config.schedule.base_learning_rate or set'
          ' --config.optimizer.clip_norm, and use another workdir'
        )
      self._on_host.append({k: float(v) for k, v in metrics.items()})
    self._on_devices.clear()

  def read(self) -> tuple[dict[str, float], float]:
    """Returns means since the last reading, and seconds per step.

    The means include `images_per_second`; the learning rate is that of the last
    step, not a mean.
    """
    self.fetch()
    start = self._start if self._timed_steps else self._first_start
    seconds = time.perf_counter() - start
    seconds_per_step = seconds / max(1, self._timed_steps)
    last = self._on_host[-1]
    count = len(self._on_host)
    means = {k: sum(m[k] for m in self._on_host) / count for k in last}
    means['learning_rate'] = last['learning_rate']
    means['images_per_second'] = self._batch_size / seconds_per_step
    self._on_host.clear()
    self.restart_clock()
    return means, seconds_per_step

  def restart_clock(self) -> None:
    """Excludes the time since the last step, which was not training."""
    self._start = time.perf_counter()
    self._timed_steps = 0

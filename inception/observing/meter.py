"""Metrics of a log interval: kept on the devices, then averaged."""

import math
import time
from typing import Any

import jax
import ml_collections

from inception.errors import UserError
from inception.observing import divergence

Metrics = dict[str, jax.Array]

# Steps dispatched ahead: enough to keep the devices busy while the host
# prepares the next batch, few enough to bound the memory of batches in flight.
_STEPS_IN_FLIGHT = 2

# Metrics of a single step; others are averaged over the interval.
_LATEST = ('learning_rate', 'skipped_updates')


class Meter:
  """Collects the metrics of steps and measures their speed."""

  def __init__(
    self,
    first_step: int,
    config: ml_collections.ConfigDict,
    interval: dict[str, Any] | None = None,
  ):
    """Starts before the step `first_step + 1`.

    Args:
      first_step: Steps already taken.
      config: The whole config.
      interval: What `interval` returned when the state was saved, so that the
        first means after a resume match those of an uninterrupted run.
    """
    self._step = first_step
    self._config = config
    self._on_devices: list[Metrics] = []
    self._steps = 0
    self._sums: dict[str, float] = {}
    self._latest: dict[str, float] = {}
    if interval:
      self._steps, self._sums = interval['steps'], dict(interval['sums'])
    # The first step compiles: it is not timed, unless it is the only one.
    self._timed_steps = -1
    self._start = self._first_start = time.perf_counter()

  def add(self, metrics: Metrics) -> None:
    """Adds the metrics of the next step; waits for the step before it."""
    self._on_devices.append(metrics)
    jax.block_until_ready(self._on_devices[-_STEPS_IN_FLIGHT:][:1])
    if self._timed_steps < 0:
      jax.block_until_ready(metrics)
      self._start = time.perf_counter()
    self._timed_steps += 1

  def fetch(self) -> None:
    """Copies metrics to the host.

    Raises:
      UserError: A loss is not finite, and no more updates may be skipped; names
        the step.
    """
    limit = self._config.divergence.skip_updates
    for metrics in jax.device_get(self._on_devices):
      self._step += 1
      values = {name: float(value) for name, value in metrics.items()}
      skipped = round(values.get('skipped_updates', 0))
      if skipped > limit or not (math.isfinite(values['loss']) or limit):
        many = f' ({limit} non-finite updates were skipped)' if limit else ''
        raise UserError(
          f'the loss is {values["loss"]} at step {self._step}{many};'
          f' {divergence.likely_causes(self._config)}'
        )
      self._latest = {k: values[k] for k in _LATEST if k in values}
      if math.isfinite(values['loss']):
        self._steps += 1
        for name in values.keys() - set(_LATEST):
          self._sums[name] = self._sums.get(name, 0.0) + values[name]
    self._on_devices.clear()

  def interval(self) -> dict[str, Any]:
    """Returns sums since the last `read`, for the checkpoint."""
    self.fetch()
    return {'steps': self._steps, 'sums': self._sums.copy()}

  def read(self) -> tuple[dict[str, float], float]:
    """Returns means since the last call, and seconds per step.

    The means include `images_per_second`; the learning rate and the count of
    skipped updates are those of the last step. Steps with a non-finite loss are
    excluded from the means.
    """
    self.fetch()
    start = self._start if self._timed_steps else self._first_start
    seconds = time.perf_counter() - start
    seconds_per_step = seconds / max(1, self._timed_steps)
    means = {k: v / self._steps for k, v in sorted(self._sums.items())}
    if not self._steps:  # All were skipped.
      means = {'loss': math.nan, 'top1': math.nan}
    means.update(self._latest)
    means['images_per_second'] = self._config.batch_size / seconds_per_step
    self._steps, self._sums = 0, {}
    self.restart_clock()
    return means, seconds_per_step

  def restart_clock(self) -> None:
    """Excludes the time since the last step, which was not training."""
    self._start = time.perf_counter()
    self._timed_steps = 0

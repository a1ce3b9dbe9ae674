"""Training steps and batches for benchmarks."""

from collections.abc import Iterator, Sequence
import dataclasses
import time
from typing import Any

import jax
import ml_collections
import numpy as np

from inception.data import pipeline
from inception.data.device import feed
from inception.data.sources.source import Source
from inception.processes import distributed
from inception.training import check
from inception.training.build import build
from inception.training.recipe.step import TrainStep

Batch = dict[str, jax.Array]


@dataclasses.dataclass
class TimedStep:
  """A training step with the state and the batch that it runs on.

  Attributes:
    step: Function of state and batch to state and metrics.
    state: The current state, replicated over the devices.
    batch: The batch of every step, on the devices.
  """

  step: TrainStep
  state: Any
  batch: Batch

  def take(self, steps: int = 1) -> float:
    """Takes some steps and returns the seconds they took together."""
    jax.block_until_ready(self.state)
    start = time.perf_counter()
    for _ in range(steps):
      self.state, _ = self.step(self.state, self.batch)
    jax.block_until_ready(self.state)
    return time.perf_counter() - start


def make_noise_step(
  config: ml_collections.ConfigDict, devices: Sequence[jax.Device]
) -> TimedStep:
  """Builds the step of a config, with a batch of noise of its image size.

  The first call of the step compiles it.

  Args:
    config: A config with `model.num_classes` set.
    devices: Local devices.
  """
  check.check_run(config, devices)
  training = build(config, devices, config.batch_size)
  state = distributed.replicate(training.initial_state(), devices)
  side, rows = config.data.image_size, config.batch_size // len(devices)
  generator = np.random.default_rng(0)
  batch = {
    'image': generator.integers(
      0, 256, (len(devices), rows, side, side, 3), np.uint8
    ),
    'label': generator.integers(
      0, config.model.num_classes, (len(devices), rows), np.int32
    ),
  }
  return TimedStep(training.step, state, distributed.split(batch, devices))


def train_batches(
  config: ml_collections.ConfigDict,
  devices: Sequence[jax.Device],
  source: Source,
) -> Iterator[Batch]:
  """Yields the training batches of a run on its devices, from step 0 on."""
  shard = pipeline.HostShard(config.batch_size, len(devices))
  batches = pipeline.train_batches(
    source, config.data, shard, config.seed, first_step=0
  )
  return feed.prefetch(batches, devices)

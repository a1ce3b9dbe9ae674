"""Training steps, batches and a config for benchmarks."""

from collections.abc import Iterator, Sequence
import dataclasses
import time
from typing import Any

import jax
import ml_collections

from inception.architectures import get_architecture
from inception.config import default
from inception.data import pipeline
from inception.data.device import feed
from inception.data.sources import noise
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

  def compile(self) -> Any:
    """Compiles the step ahead of time; returns the compiled program."""
    compiled = self.step.compile(self.state, self.batch)
    self.step = dataclasses.replace(self.step, compiled=compiled)
    return compiled


def make_config(
  architecture: str, batch_size: int, precision: str = 'float32'
) -> ml_collections.ConfigDict:
  """Returns the default recipe for a network, on 1,000 classes of noise."""
  config = default.get_config()
  config.batch_size, config.precision = batch_size, precision
  config.data.dataset = 'fake'
  config.data.image_size = get_architecture(architecture).input_size
  config.model.architecture, config.model.num_classes = architecture, 1000
  return config


def make_noise_step(
  config: ml_collections.ConfigDict, devices: Sequence[jax.Device]
) -> TimedStep:
  """Builds the step of a config, with a batch of noise of its image size.

  The first call of the step compiles it. The config sets `model.num_classes`.
  """
  check.check_run(config, devices)
  training = build(config, devices, config.batch_size)
  state = distributed.replicate(training.initial_state(), devices)
  shape = len(devices), config.batch_size // len(devices)
  batch = noise.make_batch(config.data, shape)
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

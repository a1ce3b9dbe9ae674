"""Learning rate as a function of the step."""

from collections.abc import Callable
import dataclasses

import jax
import jax.numpy as jnp
import ml_collections


@dataclasses.dataclass(frozen=True)
class Duration:
  """How long a run is.

  Attributes:
    steps: of the whole run.
    steps_per_epoch: examples over batch size, a fraction.
  """

  steps: int
  steps_per_epoch: float

  def epochs_to_steps(self, epochs: float) -> int:
    """Returns the nearest whole number of steps."""
    return round(epochs * self.steps_per_epoch)

  def is_due(self, step: int, epochs: float) -> bool:
    """Tells whether what happens every so many epochs happens after a step."""
    period = max(1.0, epochs * self.steps_per_epoch)
    times = round(step / period)
    return times > 0 and step == round(times * period)


def make_duration(
  config: ml_collections.ConfigDict, num_examples: int
) -> Duration:
  """Derives the length of a run from `num_steps`, else `num_epochs`."""
  steps_per_epoch = num_examples / config.batch_size
  steps = config.num_steps or round(config.num_epochs * steps_per_epoch)
  return Duration(max(1, steps), steps_per_epoch)


def make_schedule(
  config: ml_collections.ConfigDict, batch_size: int, duration: Duration
) -> Callable[[jax.typing.ArrayLike], jax.Array]:
  """Makes the schedule of the learning rate.

  Every schedule counts from the start of training, so that a warm-up does not
  delay the stairs.

  Args:
    config: `config.schedule`.
    batch_size: of the global batch.
    duration: of the run.

  Returns:
    Step, counted from 0, to float32 learning rate.
  """
  peak = config.base_learning_rate * batch_size / config.base_batch_size
  warmup = duration.epochs_to_steps(config.warmup_epochs)
  stair = max(1, duration.epochs_to_steps(config.decay_every_epochs))

  def schedule(step: jax.typing.ArrayLike) -> jax.Array:
    step = jnp.asarray(step, jnp.float32)
    rate = jnp.float32(peak)
    if config.name == 'cosine':
      progress = (step - warmup) / max(1, duration.steps - warmup)
      rate *= (1 + jnp.cos(jnp.pi * jnp.clip(progress, 0, 1))) / 2
    elif config.name == 'stairs':
      rate *= config.decay_rate ** jnp.floor(step / stair)
    return rate * jnp.minimum(1, (step + 1) / max(1, warmup))

  return schedule

"""Length of a run, and the learning rate as a function of the step."""

from collections.abc import Callable
import dataclasses

import jax
import jax.numpy as jnp
import ml_collections

from inception.errors import UserError, lookup

Array = jax.Array

_MOST_STEPS = 2**31 - 1
Schedule = Callable[[jax.typing.ArrayLike], Array]


@dataclasses.dataclass(frozen=True)
class Duration:
  """Length of a run.

  Attributes:
    steps: Steps of the whole run.
    steps_per_epoch: Examples divided by batch size; may be fractional.
  """

  steps: int
  steps_per_epoch: float

  def epochs_to_steps(self, epochs: float) -> int:
    """Returns the nearest whole number of steps."""
    return round(epochs * self.steps_per_epoch)

  def is_due(self, step: int, epochs: float) -> bool:
    """True if an event with a period in epochs falls on this step."""
    period = max(1.0, epochs * self.steps_per_epoch)
    times = round(step / period)
    return times > 0 and step == round(times * period)


def make_duration(
  config: ml_collections.ConfigDict, num_examples: int
) -> Duration:
  """Derives the length of a run from `num_steps`, or else `num_epochs`.

  Raises:
    UserError: The run has more steps than fit in an int32.
  """
  steps_per_epoch = num_examples / config.batch_size
  steps = config.num_steps or round(config.num_epochs * steps_per_epoch)
  if steps > _MOST_STEPS:
    raise UserError(
      f'num_epochs={config.num_epochs} with batch_size={config.batch_size} is'
      f' {steps:,} steps, more than {_MOST_STEPS:,}; lower --config.num_epochs'
    )
  return Duration(max(1, steps), steps_per_epoch)


def make_schedule(
  config: ml_collections.ConfigDict, batch_size: int, duration: Duration
) -> Schedule:
  """Makes the schedule of `config.schedule`, for a global batch size.

  Every schedule counts from the start of training, so a warm-up does not delay
  the staircase.

  Returns:
    A function from the step, counted from 0, to the float32 learning rate.

  Raises:
    UserError: There is no schedule of that name.
  """
  peak = config.base_learning_rate * batch_size / config.base_batch_size
  warmup = duration.epochs_to_steps(config.warmup_epochs)
  decay = lookup(SCHEDULES, config.name, 'schedule.name')(config, duration)

  def schedule(step: jax.typing.ArrayLike) -> Array:
    step = jnp.asarray(step, jnp.float32)
    rate = jnp.float32(peak) * decay(step)
    return rate * jnp.minimum(1, (step + 1) / max(1, warmup))

  return schedule


def _cosine(config: ml_collections.ConfigDict, duration: Duration) -> Schedule:
  """Decays from 1 at the end of the warm-up to 0 at the end of the run."""
  warmup = duration.epochs_to_steps(config.warmup_epochs)

  def factor(step: jax.typing.ArrayLike) -> Array:
    progress = (step - warmup) / max(1, duration.steps - warmup)
    return (1 + jnp.cos(jnp.pi * jnp.clip(progress, 0, 1))) / 2

  return factor


def _staircase(
  config: ml_collections.ConfigDict, duration: Duration
) -> Schedule:
  """Multiplies by `decay_rate` every `decay_every_epochs`."""
  period = max(1, duration.epochs_to_steps(config.decay_every_epochs))
  return lambda step: config.decay_rate ** jnp.floor(step / period)


# Factor on the peak by name, `config.schedule.name`.
SCHEDULES: dict[
  str, Callable[[ml_collections.ConfigDict, Duration], Schedule]
] = {
  'cosine': _cosine,
  'staircase': _staircase,
  'constant': lambda config, duration: jnp.ones_like,
}

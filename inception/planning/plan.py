"""A plan: a run's step, compiled for some chips, and what follows from it."""

from collections.abc import Callable
import dataclasses

import ml_collections

from inception.architectures import get_architecture
from inception.errors import UserError
from inception.planning import devices, programs
from inception.planning.chips import Topology
from inception.planning.estimate import Estimate, estimate
from inception.training.schedule import make_duration

_LARGEST = 2**16  # Images per chip that are tried.


@dataclasses.dataclass(frozen=True)
class Plan:
  """A run on some chips.

  Attributes:
    config: The config that was planned.
    topology: The chips.
    what: 'train' or 'eval'.
    text: The compiled program, or None if it does not fit.
    estimate: What the compiler expects of a step.
    steps: Steps of the whole run; of one pass in evaluation.
    steps_per_epoch: Steps of one pass over the data.
  """

  config: ml_collections.ConfigDict
  topology: Topology
  what: str
  text: str | None
  estimate: Estimate
  steps: int
  steps_per_epoch: float

  @property
  def hours_per_epoch(self) -> float:
    """Expected hours of one pass over the data, without input and saving."""
    return self.steps_per_epoch * self.estimate.step_seconds / 3600

  @property
  def hours(self) -> float:
    """Expected hours of the whole run, without input and saving."""
    return self.steps * self.estimate.step_seconds / 3600


def make_plan(
  config: ml_collections.ConfigDict,
  topology: Topology,
  what: str,
  num_examples: int,
) -> Plan:
  """Compiles the step of a run for some chips.

  Args:
    config: A config. Without `model.num_classes`, it has those of the table.
    topology: The chips.
    what: 'train' or 'eval'.
    num_examples: Examples of an epoch.

  Raises:
    UserError: A field is wrong, or the compiler is not installed.
  """
  config = config.copy_and_resolve_references()
  if config.model.num_classes is None:
    table = get_architecture(config.model.architecture)
    config.model.num_classes = table.num_classes + config.data.class_offset
  program = programs.make_program(config, num_examples, what, topology.size)
  compiled = programs.compile_for(program, devices.describe(topology))
  duration = make_duration(config, num_examples)
  steps_per_epoch = duration.steps_per_epoch
  return Plan(
    config=config.lock(),
    topology=topology,
    what=what,
    text=compiled.text,
    estimate=estimate(compiled, topology, config.batch_size),
    steps=duration.steps if what == 'train' else round(steps_per_epoch),
    steps_per_epoch=steps_per_epoch,
  )


def largest_batch(
  config: ml_collections.ConfigDict,
  topology: Topology,
  what: str,
  num_examples: int,
  make: Callable[..., Plan] = make_plan,
) -> Plan:
  """Finds the largest batch that fits, to a multiple of 8 per chip.

  Doubles the batch until it does not fit, then halves the interval. Every try
  compiles the step.

  Args:
    config: A config; its batch size does not matter.
    topology: The chips.
    what: 'train' or 'eval'.
    num_examples: Examples of an epoch.
    make: Makes a plan; see `make_plan`.

  Raises:
    UserError: Not even 8 images per chip fit.
  """

  def attempt(units: int) -> Plan:
    config.batch_size = 8 * units * topology.size
    return make(config, topology, what, num_examples)

  best = attempt(1)
  if not best.estimate.fits:
    raise UserError(
      f'not even 8 images per chip fit into a {topology.kind}; take a smaller'
      ' network or image_size'
    )
  fits, fails = 1, None
  while fails is None or fails - fits > 1:
    units = 2 * fits if fails is None else (fits + fails) // 2
    if 8 * units > _LARGEST:
      break
    plan = attempt(units)
    if plan.estimate.fits:
      best, fits = plan, units
    else:
      fails = units
  return best

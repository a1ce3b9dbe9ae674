"""A plan: a run's step compiled for some chips, and the resulting estimates."""

from collections.abc import Mapping
import dataclasses
import math

import ml_collections

from inception.architectures import get_architecture
from inception.errors import UserError, count
from inception.planning import devices, programs
from inception.planning.chips import Topology
from inception.planning.estimate import Estimate, estimate
from inception.training.recipe.schedule import make_duration

_LARGEST = 2**16  # Most images per chip to try.


@dataclasses.dataclass(frozen=True)
class Plan:
  """A run on some chips.

  Attributes:
    config: The config that was planned.
    topology: The chips.
    what: 'train' or 'eval'.
    text: The compiled program, or None if it does not fit.
    estimate: Estimated cost of a step.
    steps: Steps of the whole run, or of one pass for evaluation.
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
  def rate_per_chip(self) -> float:
    """Estimated images per second per chip."""
    return self.estimate.images_per_second / self.topology.size

  @property
  def hours_per_epoch(self) -> float:
    """Estimated hours per epoch, without data loading and checkpoints."""
    return self.steps_per_epoch * self.estimate.step_seconds / 3600

  @property
  def hours(self) -> float:
    """Estimated hours of the run, without data loading and checkpoints."""
    return self.steps * self.estimate.step_seconds / 3600


def make_plan(
  config: ml_collections.ConfigDict,
  topology: Topology,
  what: str,
  num_examples: int,
) -> Plan:
  """Compiles the step of a run for some chips.

  Args:
    config: A config. If `model.num_classes` is unset, the table's is used.
    topology: The chips.
    what: 'train' or 'eval'.
    num_examples: Examples per epoch.

  Raises:
    UserError: A field is wrong, or the compiler is not installed.
  """
  config = config.copy_and_resolve_references()
  if config.model.num_classes is None:
    table = get_architecture(config.model.architecture)
    config.model.num_classes = table.num_classes + config.data.class_offset
  program = programs.make_program(config, num_examples, what, topology.size)
  compiled = programs.compile_for(*program, devices.describe(topology))
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
) -> Plan:
  """Finds the largest batch that fits, to a multiple of 8 per chip.

  Each try compiles the step. Memory grows almost linearly with the batch, so
  most tries extrapolate to the size that should just fit; the others double the
  batch or bisect. Arguments are those of `make_plan`; the batch size of the
  config is overwritten.

  Raises:
    UserError: Not even 8 images per chip fit.
  """
  unit = math.lcm(8, config.accumulation_steps)

  def attempt(units: int) -> Plan:
    config.batch_size = unit * units * topology.size
    return make_plan(config, topology, what, num_examples)

  best = attempt(1)
  if not best.estimate.fits:
    raise UserError(
      f'{count(unit, "image")} do not fit into the memory of one'
      f' {topology.kind}; use a smaller network or image_size'
    )
  peaks = {1: best.estimate.peak_bytes}
  fits, fails = 1, None  # The largest that fits, and the smallest that fails.
  tries = 0
  while fails != fits + 1 and 2 * fits * unit <= _LARGEST:
    units = 2 * fits if fails is None else (fits + fails) // 2
    guess = _guess(peaks, topology.chip.memory)
    # Every fourth try ignores the guess, which may gain only one each time.
    if guess is not None and tries % 4:
      units = max(guess, fits + 1)
      units = units if fails is None else min(units, fails - 1)
    tries += 1
    plan = attempt(units)
    if plan.estimate.fits:
      best, fits = plan, units
      peaks[units] = plan.estimate.peak_bytes
    else:
      fails = units
  return best


def _guess(peaks: Mapping[int, int | None], memory: int) -> int | None:
  """Extrapolates the units that just fit from the two largest that did."""
  known = sorted((units, peak) for units, peak in peaks.items() if peak)
  if len(known) < 2:
    return None
  (fewer, less), (more, larger) = known[-2:]
  if larger <= less:
    return None
  each = (larger - less) / (more - fewer)
  return more + int((memory - larger) / each)

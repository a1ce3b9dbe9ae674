"""Plans as text, as table rows, and as time per part of the network."""

from collections.abc import Sequence
import dataclasses
from typing import Any

from inception.architectures import get_architecture
from inception.cli import outputs
from inception.planning import estimate as estimates
from inception.planning.operations import operations
from inception.planning.plan import Plan

_MOST_ROWS = 25

# Where the figures come from, by platform. XLA gives no times for GPUs.
ESTIMATED_BY = {
  'tpu': "the compiler's estimates, not measurements",
  'cuda': 'a bound at the full speed of the chip, not a measurement',
}

# Scopes of a training step outside the network.
_STEP_SCOPES = ('augmentation', 'loss', 'optimizer')


def title(plan: Plan) -> str:
  """Returns a one-line title of a plan."""
  return (
    f'{subject(plan)}, batch {plan.estimate.batch_size:,} on'
    f' {plan.topology.name}'
  )


def subject(plan: Plan) -> str:
  """Returns the network, step and precision of a plan."""
  step = 'training' if plan.what == 'train' else 'evaluation'
  return f'{plan.config.model.architecture}, {step}, {plan.config.precision}'


def describe(plan: Plan) -> str:
  """Returns the figures of a plan as a few aligned lines."""
  rows = [('memory per chip', _memory(plan))]
  if plan.estimate.fits:
    rows += _figures(plan)
  rows.append(('compiled here in', f'{plan.estimate.compile_seconds:.0f} s'))
  width = max(len(name) for name, _ in rows)
  lines = [f'{name.ljust(width)}  {value}' for name, value in rows]
  heading = f'{title(plan)}: {ESTIMATED_BY[plan.topology.chip.platform]}'
  return '\n'.join([heading, *lines])


def _memory(plan: Plan) -> str:
  there = f'{plan.estimate.memory_bytes / 2**30:.2f} GiB'
  verdict = 'fits' if plan.estimate.fits else 'does not fit'
  if plan.estimate.peak_bytes is None:
    return f'{verdict} into {there}'
  return f'{plan.estimate.peak_bytes / 2**30:.2f} of {there}: {verdict}'


def _figures(plan: Plan) -> list[tuple[str, str]]:
  e = plan.estimate
  reducing = e.all_reduce_seconds / e.step_seconds
  rows = [
    ('time per step', f'{1e3 * e.step_seconds:.2f} ms'),
    (
      'images/s',
      f'{e.images_per_second:,.0f} total, {plan.rate_per_chip:,.0f} per chip',
    ),
    ('share of peak arithmetic', f'{e.peak_share:.0%} (bfloat16)'),
    ('share of memory bandwidth', f'{e.bandwidth_share:.0%}'),
    ('limit', e.limit),
    (
      'all-reduces',
      f'{e.all_reduces}, {e.all_reduce_bytes / 2**20:.1f} MiB,'
      f' {reducing:.1%} of the time',
    ),
    ('operations without an estimate', f'{e.not_estimated}, at full speed'),
    ('hours per epoch', f'{plan.hours_per_epoch:.2f}'),
  ]
  if plan.what == 'train':
    rows.append(('hours of the run', f'{plan.hours:.1f}, {plan.steps:,} steps'))
  return rows


def as_row(plan: Plan) -> dict[str, Any]:
  """Returns all figures of a plan by name."""
  figures = dataclasses.asdict(plan.estimate)
  return {
    'architecture': plan.config.model.architecture,
    'what': plan.what,
    'precision': plan.config.precision,
    'topology': plan.topology.name,
    'chips': plan.topology.size,
    **figures,
    'images_per_second_per_chip': plan.rate_per_chip,
    'hours_per_epoch': plan.hours_per_epoch,
    'hours': plan.hours,
    'estimated_by': ESTIMATED_BY[plan.topology.chip.platform],
  }


def compare(plans: Sequence[Plan]) -> str:
  """Returns a table of plans that fit, on several topologies.

  Efficiency is images per second per chip, relative to the first plan.
  """
  rows = []
  for plan in plans:
    e, rate = plan.estimate, plan.rate_per_chip
    rows.append(
      (
        plan.topology.name,
        f'{e.images_per_second:,.0f}',
        f'{rate:,.0f}',
        f'{e.all_reduce_seconds / e.step_seconds:.1%}',
        f'{rate / plans[0].rate_per_chip:.1%}',
      )
    )
  return outputs.format_table(
    ('topology', 'images/s', 'per chip', 'all-reduces', 'efficiency'), rows
  )


def shares(plan: Plan, by: str) -> dict[str, float]:
  """Returns seconds per step by 'stage', 'kind' or 'op'; {} if it does not fit.

  Stages are in the order of the network; kinds and ops start with the longest.
  """
  if plan.text is None:
    return {}
  table = get_architecture(plan.config.model.architecture)
  scopes = [stage.name for stage in table.stages]
  scopes += [head.name for head in table.aux_heads]
  scopes += ['Logits', *_STEP_SCOPES]
  group = {
    'stage': estimates.by_stage(scopes),
    'kind': estimates.by_kind,
    'op': estimates.by_op,
  }[by]
  found: dict[str, float] = {}
  for op in operations(plan.text):
    seconds = estimates.seconds(op, plan.topology) * op.times
    found[group(op)] = found.get(group(op), 0) + seconds
  if by == 'stage':
    order = [f'{n} {way}' for n in scopes for way in ('forward', 'backward')]
    ordered = {name: found.pop(name) for name in order if name in found}
    return {**ordered, **found}
  longest = sorted(found.items(), key=lambda item: -item[1])
  return dict(longest[:_MOST_ROWS])


def format_shares(parts: dict[str, float], by: str) -> str:
  """Returns a table of milliseconds."""
  total = sum(parts.values())
  return outputs.format_table(
    (by, 'ms', 'share'),
    [
      (name, f'{1e3 * value:.2f}', f'{value / total:.1%}')
      for name, value in parts.items()
    ],
  )

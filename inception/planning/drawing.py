"""Charts of plans: where the time goes, and how a run scales."""

from collections.abc import Sequence
from typing import Any

from inception import paths
from inception.cli import outputs
from inception.errors import UserError
from inception.planning.plan import Plan
from inception.planning.report import ESTIMATED_BY, subject, title


def draw_shares(
  parts: dict[str, float], plan: Plan, output: paths.Path
) -> None:
  """Draws milliseconds as horizontal bars, the first on top.

  Raises:
    UserError: The file cannot be written.
  """
  picture = outputs.figure(8, 1.2 + 0.22 * len(parts))
  axes = picture.subplots()
  names = list(parts)[::-1]
  values = [1e3 * parts[name] for name in names]
  colors = ['#c44e52' if 'backward' in n else '#4c72b0' for n in names]
  axes.barh(names, values, color=colors)
  axes.set_xlabel(f'milliseconds per step\n{_note(plan)}')
  axes.set_title(title(plan), fontsize=10)
  axes.tick_params(labelsize=8)
  axes.margins(y=0.01)
  outputs.save(picture, output)


def draw_scale(plans: Sequence[Plan], output: paths.Path) -> None:
  """Draws images per second and time per step, by topology.

  Raises:
    UserError: The file cannot be written, or no plan fits.
  """
  fitting = [plan for plan in plans if plan.estimate.fits]
  if not fitting:
    raise UserError('cannot draw: no plan fits into memory; lower --batch_size')
  picture = outputs.figure(7, 5.5)
  rates, times = picture.subplots(2, sharex=True, height_ratios=(3, 2))
  _draw_rates(rates, fitting)
  names = [plan.topology.name for plan in fitting]
  reducing = [1e3 * plan.estimate.all_reduce_seconds for plan in fitting]
  whole = [1e3 * plan.estimate.step_seconds for plan in fitting]
  others = [step - reduce for step, reduce in zip(whole, reducing)]
  times.bar(names, others, width=0.5, color='#4c72b0', label='other')
  times.bar(
    names,
    reducing,
    width=0.5,
    bottom=others,
    color='#c44e52',
    label='all-reduces',
  )
  times.set(ylabel='ms per step', xlabel=_note(fitting[0]))
  times.margins(y=0.3)  # Room for the legend.
  times.legend(loc='upper right', ncols=2, fontsize=8)
  rows = fitting[0].estimate.batch_size / fitting[0].topology.size
  picture.suptitle(
    f'{subject(fitting[0])}, {rows:g} images per chip', fontsize=10
  )
  outputs.save(picture, output)


def _draw_rates(axes: Any, plans: Sequence[Plan]) -> None:
  """Draws images per second, next to perfect scaling."""
  names = [plan.topology.name for plan in plans]
  perfect = [plans[0].rate_per_chip * plan.topology.size for plan in plans]
  rates = [plan.estimate.images_per_second for plan in plans]
  axes.plot(names, perfect, '--', color='#999999', label='perfect scaling')
  axes.plot(names, rates, 'o-', color='#4c72b0', label='estimated')
  for name, rate, ideal in zip(names, rates, perfect):
    axes.annotate(
      f'{rate:,.0f}\n{rate / ideal:.1%}',
      (name, rate),
      textcoords='offset points',
      xytext=(8, -20),
      fontsize=8,
    )
  axes.set(yscale='log', ylabel='images per second')
  axes.margins(x=0.15, y=0.15)  # Room for the labels.
  axes.minorticks_off()
  axes.legend()


def _note(plan: Plan) -> str:
  return ESTIMATED_BY[plan.topology.chip.platform]

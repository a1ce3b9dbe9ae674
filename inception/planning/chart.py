"""Pictures of plans: bars of where time goes, and how a run scales."""

from collections.abc import Sequence
from typing import Any

from inception import paths
from inception.errors import UserError
from inception.planning.plan import Plan
from inception.planning.report import ESTIMATED_BY, title


def draw_shares(
  parts: dict[str, float], plan: Plan, output: paths.Path
) -> None:
  """Draws milliseconds as horizontal bars, the first on top.

  Raises:
    UserError: The file cannot be written.
  """
  from matplotlib import figure  # Slow to import.

  picture = figure.Figure(
    figsize=(8, 1.2 + 0.22 * len(parts)), layout='constrained'
  )
  axes = picture.subplots()
  names = list(parts)[::-1]
  values = [1e3 * parts[name] for name in names]
  colors = ['#c44e52' if 'backward' in n else '#4c72b0' for n in names]
  axes.barh(names, values, color=colors)
  axes.set_xlabel(f'milliseconds per step\n{_note(plan)}')
  axes.set_title(title(plan), fontsize=10)
  axes.tick_params(labelsize=8)
  axes.margins(y=0.01)
  _save(picture, output)


def draw_scale(plans: Sequence[Plan], output: paths.Path) -> None:
  """Draws images per second over chips, with what perfect scaling would give.

  Raises:
    UserError: The file cannot be written, or no plan fits.
  """
  from matplotlib import figure  # Slow to import.

  fitting = [plan for plan in plans if plan.estimate.fits]
  if not fitting:
    raise UserError('no plan fits into memory: there is nothing to draw')
  chips = [plan.topology.size for plan in fitting]
  rates = [plan.estimate.images_per_second for plan in fitting]
  picture = figure.Figure(figsize=(7, 4.5), layout='constrained')
  axes = picture.subplots()
  perfect = [rates[0] / chips[0] * count for count in chips]
  axes.plot(chips, perfect, '--', color='#999999', label='perfect scaling')
  axes.plot(chips, rates, 'o-', color='#4c72b0', label='estimated')
  for plan, count, rate, ideal in zip(fitting, chips, rates, perfect):
    axes.annotate(
      f'{plan.topology.name}\n{rate / ideal:.0%}',
      (count, rate),
      textcoords='offset points',
      xytext=(6, -22),
      fontsize=8,
    )
  axes.set(xscale='log', yscale='log', xlabel=f'chips\n{_note(fitting[0])}')
  axes.set_ylabel('images per second')
  axes.set_xticks(chips, [str(count) for count in chips])
  axes.margins(0.12)  # Room for the labels.
  axes.minorticks_off()
  axes.set_title(title(fitting[0]), fontsize=10)
  axes.legend()
  _save(picture, output)


def _note(plan: Plan) -> str:
  return ESTIMATED_BY[plan.topology.chip.platform]


def _save(picture: Any, output: paths.Path) -> None:
  try:
    picture.savefig(output, dpi=120)
  except OSError as error:
    raise UserError(f'cannot write {output}: {error.strerror}') from error

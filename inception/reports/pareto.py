"""Plots accuracy against throughput, with memory as the area of a dot.

Run:  python -m inception.reports.pareto --results=inference.json,cascade.json
        --output=pareto.png

The files are outputs of `benchmarks.inference` and of
`inception.evaluation.cascade`. Filled dots are accuracies measured here. Hollow
dots are published accuracies, with an arrow to the measured accuracy of the
same network.
"""

from collections.abc import Sequence
from typing import Any

from absl import flags
import numpy as np

from inception import paths
from inception.cli import commands, outputs, shared
from inception.errors import UserError
from inception.files import json_text
from inception.reports.curves import COLORS
from inception.reports.points import (
  Point,
  check_curve,
  check_data,
  data_name,
  read_points,
  upper_hull,
)

_LARGEST_AREA = 900.0  # Of a dot, square points.
_SMALLEST_AREA = 25.0


def define_flags() -> None:
  """Defines the flags of this command."""
  flags.DEFINE_list('results', None, 'Comma-separated JSON files.')
  flags.DEFINE_string('output', 'pareto.png', 'PNG, SVG or PDF to write.')
  flags.DEFINE_bool('json', False, 'Print one JSON object as the last line.')


def main() -> None:
  """Reads the files and draws the picture."""
  shared.require('results', 'inference.json')
  output = outputs.picture(flags.FLAGS.output, '--output')
  points, curves = read(flags.FLAGS.results)
  if not points and not curves:
    raise UserError('--results has no points; give benchmarks.inference files')
  check_data([point.data for point in points] + list(map(data_name, curves)))
  draw(points, curves, output)
  print(f'picture: {output}')
  if flags.FLAGS.json:
    print(json_text.dump({'output': str(output), 'points': len(points)}))


def read(
  files: Sequence[paths.PathLike],
) -> tuple[list[Point], list[dict[str, Any]]]:
  """Returns the points of benchmarks and the curves of cascades.

  Raises:
    UserError: A file cannot be read, or holds something else.
  """
  points: list[Point] = []
  curves: list[dict[str, Any]] = []
  for name in files:
    path = paths.resolve(name, '--results')
    report = json_text.read(path)
    try:
      if 'points' in report:
        curves.append(check_curve(report))
      else:
        points += read_points(report['results'])
    # JSON with a different structure.
    except (AttributeError, KeyError, TypeError, ValueError) as error:
      raise UserError(
        f'{path} is not a result of benchmarks.inference or'
        ' inception.evaluation.cascade, or is damaged'
      ) from error
  return points, curves


def draw(
  points: Sequence[Point],
  curves: Sequence[dict[str, Any]],
  output: paths.Path,
) -> None:
  """Draws what `read` returns into a path from `outputs.picture`.

  Raises:
    UserError: The file cannot be written.
  """
  picture = outputs.figure(10, 6)
  axes = picture.subplots()
  networks = list(dict.fromkeys(point.network for point in points))
  colors = {n: COLORS[i % len(COLORS)] for i, n in enumerate(networks)}
  largest = max((p.memory or 0 for p in points), default=0) or 1
  drawn, texts = [], []
  for point in points:
    if point.height is None:
      continue
    drawn.append((point.speed, point.height))
    area = _LARGEST_AREA * (point.memory or 0) / largest
    _dot(axes, point, colors[point.network], max(_SMALLEST_AREA, area))
    label = outputs.label(point.label)
    texts.append(axes.text(*drawn[-1], label, fontsize=8))
  _join_precisions(axes, points, colors)
  for curve in curves:
    drawn += _curve(axes, curve)
  hull = upper_hull(drawn)
  if len(hull) > 1:
    axes.plot(*zip(*hull), ':', color='gray', label='upper convex hull')
  _explain(axes)
  _place_labels(axes, texts)
  outputs.save(picture, output)


def _place_labels(axes: Any, texts: Sequence[Any]) -> None:
  """Moves labels apart, deterministically."""
  from adjustText import adjust_text  # Slow to import.

  axes.margins(0.1, 0.25)  # Room for labels.
  if texts:
    adjust_text(
      texts,
      ax=axes,
      expand=(1.05, 1.5),
      force_text=(0.3, 1.0),
      iter_lim=2000,
      arrowprops={'arrowstyle': '-', 'color': 'gray', 'lw': 0.5},
    )


def _dot(axes: Any, point: Point, color: str, area: float) -> None:
  """Draws measured and published accuracy, and the arrow between them."""
  x, hollow = point.speed, {'facecolors': 'none', 'edgecolors': color}
  if point.top1 is not None:
    axes.scatter(x, 100 * point.top1, area, color=color, alpha=0.6, zorder=3)
  if point.published is None:
    return
  y = 100 * point.published
  if point.top1 is None:
    axes.scatter(x, y, area, **hollow)
    return
  axes.scatter(x, y, 20, zorder=3, **hollow)
  arrow = {'arrowstyle': '->', 'color': color}
  axes.annotate('', (x, 100 * point.top1), (x, y), arrowprops=arrow)


def _join_precisions(
  axes: Any, points: Sequence[Point], colors: dict[str, str]
) -> None:
  """Joins the points of each network, from slow to fast."""
  for network, color in colors.items():
    line = sorted(
      (p.speed, p.height)
      for p in points
      if p.network == network and p.height is not None
    )
    if len(line) > 1:
      axes.plot(*zip(*line), color=color, lw=1, alpha=0.7)


def _curve(axes: Any, curve: dict[str, Any]) -> list[tuple[float, float]]:
  """Draws a cascade and the chord below it; returns its points."""
  ends = [
    (end['images_per_second'], 100 * end['top1'])
    for end in (curve['a'], curve['b'])
  ]
  points = sorted(
    (p['images_per_second'], 100 * p['top1']) for p in curve['points']
  )
  names = f'{curve["a"]["name"]} and {curve["b"]["name"]}'
  count = curve['a']['examples']
  label = outputs.label(f'cascade of {names}, {count:,} images')
  axes.plot(*zip(*points), 'k.-', lw=1, label=label)
  # Times per image mix linearly, so the chord is curved here.
  (x0, y0), (x1, y1) = ends
  share = np.linspace(0, 1, 51)
  x, y = 1 / (share / x0 + (1 - share) / x1), share * y0 + (1 - share) * y1
  axes.plot(x, y, 'k--', lw=0.8, label='random mixture of both')
  return points + ends


def _explain(axes: Any) -> None:
  axes.scatter([], [], 60, color='gray', alpha=0.6, label='measured accuracy')
  axes.scatter(
    [], [], 60, facecolors='none', edgecolors='gray', label='published accuracy'
  )
  axes.set_xlabel('images per second, measured; area: peak memory')
  axes.set_ylabel('top-1, %')
  axes.grid(alpha=0.3)
  axes.legend(fontsize=8, loc='best')


if __name__ == '__main__':
  commands.run(main, define_flags)

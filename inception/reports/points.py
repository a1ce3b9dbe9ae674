"""Points of accuracy against throughput, with published accuracies."""

from collections.abc import Iterable, Sequence
import dataclasses
import json
import math
import pathlib
from typing import Any

from inception.errors import UserError

_PUBLISHED = pathlib.Path(__file__).parent / 'published.json'
# The data set of the published accuracies.
IMAGENET = 'imagenet2012'


@dataclasses.dataclass(frozen=True)
class Point:
  """A network at a precision.

  Attributes:
    network: Its name; points of one network are joined.
    label: Text beside the point.
    speed: Images per second.
    top1: Measured accuracy, a fraction; None: not measured.
    published: Published accuracy, or None.
    memory: Peak memory in bytes, or None.
    data: Data set of the accuracy; `IMAGENET` if it is only published.
  """

  network: str
  label: str
  speed: float
  top1: float | None
  published: float | None
  memory: float | None
  data: str

  @property
  def height(self) -> float | None:
    """Its y-coordinate, %: the measured accuracy, else the published one."""
    top1 = self.published if self.top1 is None else self.top1
    return None if top1 is None else 100 * top1


def read_points(results: Iterable[dict[str, Any]]) -> list[Point]:
  """Returns the points of a benchmark's results, with published accuracies.

  Raises:
    KeyError, TypeError, ValueError: They have a different structure.
  """
  published = {
    (entry['architecture'], entry['precision']): entry['top1']
    for entry in json.loads(_PUBLISHED.read_text())
  }
  points = []
  for result in results:
    if result['kind'] != 'inference':
      continue
    architecture, precision = result['architecture'], result['precision']
    network = result.get('workdir') or architecture
    if result['project'] != 'ours':
      network = f'{result["project"]} {network}'
    top1, peak = result.get('top1'), result.get('peak_bytes')
    paper = None
    if result.get('dataset', IMAGENET) == IMAGENET:
      # Published float accuracies hold for bfloat16 as well.
      kind = 'int8' if precision == 'int8' else 'float32'
      paper = published.get((architecture, kind))
    points.append(
      Point(
        network,
        f'{network} {precision}, {result["batch_size"]}',
        _number(result['images_per_second'], above=0.0),
        None if top1 is None else _number(top1),
        paper,
        None if peak is None else _number(peak),
        data_name(result),
      )
    )
  return points


def check_curve(report: dict[str, Any]) -> dict[str, Any]:
  """Checks a result of `inception.evaluation.cascade` and returns it.

  Raises:
    KeyError, TypeError, ValueError: It has a different structure.
  """
  if not report['points']:
    raise ValueError('no points')
  ends = [report['a'], report['b']]
  for point in [*report['points'], *ends]:
    _number(point['images_per_second'], above=0.0)
    _number(point['top1'])
  for end in ends:
    _number(end['examples'])
    end['name']
  return report


def _number(value: Any, above: float = -1.0) -> float:
  if isinstance(value, bool) or not isinstance(value, int | float):
    raise TypeError(f'{value!r} is not a number')
  if not above < value < math.inf:
    raise ValueError(f'{value} is not above {above}, or not finite')
  return value


def data_name(result: dict[str, Any]) -> str:
  """Returns the data set of a result, and its folder if that matters."""
  name: str = result.get('dataset', IMAGENET)
  folder = result.get('data_dir')
  # ImageNet is the same in any folder.
  return name if name == IMAGENET or not folder else f'{name} {folder}'


def check_data(names: Iterable[str]) -> None:
  """Checks that all accuracies of a picture come from the same data.

  Raises:
    UserError: They do not.
  """
  if len(different := sorted(set(names))) > 1:
    raise UserError(
      f'accuracies come from different data, {" and ".join(different)}; draw'
      ' one picture for each'
    )


def upper_hull(
  points: Sequence[tuple[float, float]],
) -> list[tuple[float, float]]:
  """Returns corners (speed, accuracy) of the upper hull, from left to right."""
  hull: list[tuple[float, float]] = []
  for x, y in sorted(points):
    while len(hull) >= 2 and _turns_left(hull[-2], hull[-1], (x, y)):
      hull.pop()
    hull.append((x, y))
  # Points left of the best accuracy are slower and worse.
  best = max(range(len(hull)), key=lambda i: hull[i][1]) if hull else 0
  return hull[best:]


def _turns_left(
  a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]
) -> bool:
  return (b[0] - a[0]) * (c[1] - a[1]) >= (b[1] - a[1]) * (c[0] - a[0])

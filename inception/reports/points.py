"""Networks as points of accuracy against throughput; published accuracies."""

from collections.abc import Iterable, Sequence
import dataclasses
import json
import math
import pathlib
from typing import Any

from inception.errors import UserError

_PUBLISHED = pathlib.Path(__file__).parent / 'published.json'
# Published accuracies are those of this data set.
IMAGENET = 'imagenet2012'


@dataclasses.dataclass(frozen=True)
class Point:
  """A network at a precision.

  Attributes:
    network: Its name; points of one network are joined.
    label: What is written beside it.
    speed: Images per second.
    top1: Measured accuracy, a fraction; None: not measured.
    published: Published accuracy, or None.
    memory: Bytes at the peak, or None.
    data: What the accuracy was measured on; `IMAGENET` where only published.
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
    """Where it is drawn, %: the measured accuracy, or else the published."""
    top1 = self.published if self.top1 is None else self.top1
    return None if top1 is None else 100 * top1


def read_points(results: Iterable[dict[str, Any]]) -> list[Point]:
  """Returns the points of a benchmark's results, with published accuracies.

  Raises:
    KeyError, TypeError, ValueError: They are something else.
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
      # The papers' precision is not lower than bfloat16's in effect.
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
  """Returns a result of `inception.evaluation.cascade`.

  Raises:
    KeyError, TypeError, ValueError: It is something else.
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
    raise TypeError(f'{value!r} is no number')
  if not above < value < math.inf:
    raise ValueError(f'{value} is not above {above}, or not finite')
  return value


def data_name(result: dict[str, Any]) -> str:
  """Returns what a result was measured on, as one text."""
  name: str = result.get('dataset', IMAGENET)
  folder = result.get('data_dir')
  # ImageNet is the same wherever it is.
  return name if name == IMAGENET or not folder else f'{name} {folder}'


def check_data(names: Iterable[str]) -> None:
  """Checks that all accuracies of a picture are of the same data.

  Raises:
    UserError: They are not.
  """
  if len(different := sorted(set(names))) > 1:
    raise UserError(
      f'accuracies of different data, {" and ".join(different)}: draw them in'
      ' pictures of their own'
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
  # Left of the best accuracy, others are slower and worse.
  best = max(range(len(hull)), key=lambda i: hull[i][1]) if hull else 0
  return hull[best:]


def _turns_left(
  a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]
) -> bool:
  return (b[0] - a[0]) * (c[1] - a[1]) >= (b[1] - a[1]) * (c[0] - a[0])

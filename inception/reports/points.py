"""Networks as points of accuracy against throughput; published accuracies."""

from collections.abc import Iterable, Sequence
import dataclasses
import json
import pathlib
from typing import Any

_PUBLISHED = pathlib.Path(__file__).parent / 'published.json'
# Published accuracies are those of this data set.
_IMAGENET = 'imagenet2012'


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
  """

  network: str
  label: str
  speed: float
  top1: float | None
  published: float | None
  memory: float | None

  @property
  def height(self) -> float | None:
    """Where it is drawn, %: the measured accuracy, or else the published."""
    top1 = self.published if self.top1 is None else self.top1
    return None if top1 is None else 100 * top1


def read_points(results: Iterable[dict[str, Any]]) -> list[Point]:
  """Returns the points of a benchmark's results, with published accuracies."""
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
    of_imagenet = result.get('dataset', _IMAGENET) == _IMAGENET
    points.append(
      Point(
        network,
        f'{network} {precision}, {result["batch_size"]}',
        result['images_per_second'],
        result.get('top1'),
        # The papers' precision is not lower than bfloat16's in effect.
        published.get(
          (architecture, 'int8' if precision == 'int8' else 'float32')
        )
        if of_imagenet
        else None,
        result.get('peak_bytes'),
      )
    )
  return points


def upper_hull(
  points: Sequence[tuple[float, float]],
) -> list[tuple[float, float]]:
  """Returns the corners of the upper convex hull, from left to right.

  Args:
    points: (speed, accuracy).
  """
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

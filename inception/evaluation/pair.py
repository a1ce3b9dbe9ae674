"""Measures a mixture or cascade of two networks; see cascade.py."""

from collections.abc import Callable, Sequence
import dataclasses
import functools
import math
from typing import Any

import numpy as np

from inception import paths
from inception.evaluation import pictures, route
from inception.evaluation.ensemble import open_members
from inception.evaluation.members import DEFAULT

_POINTS = 9  # Of the curve.

Point = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Pair:
  """Two networks, A and B, and the images as each network sees them.

  Attributes:
    names: Folders of the networks.
    runners: The networks.
    images: uint8 [images, ...] for each of them.
    labels: int64 [images].
    dataset: Name of the data set.
    data_dir: Its folder, or None.
  """

  names: Sequence[str]
  runners: Sequence[route.Runner]
  images: Sequence[np.ndarray]
  labels: np.ndarray
  dataset: str
  data_dir: str | None

  @property
  def ends(self) -> tuple[Point, Point]:
    """A and B alone: `name`, `examples`, `top1`, `images_per_second`."""
    (a, _), (b, _) = self._alone
    return a, b

  @functools.cached_property
  def _alone(self) -> list[tuple[Point, np.ndarray]]:
    """Scores of A and B alone, and which images each of them gets right."""
    found = []
    for name, to_a in zip(self.names, (True, False)):
      to_first = np.full(len(self.labels), to_a)
      point, right = self._measure(
        functools.partial(route.mixture, self.runners, self.images, to_first)
      )
      found.append(({'name': name, **point}, right))
    return found

  def mixture(self, share: float, seed: int) -> Point:
    """Sends a random share of the images to A and the rest to B.

    Returns:
      `top1` and `images_per_second`; `random_mix_top1`, the expected top-1;
      `standard_error` of the random choice; `deviation` in standard errors.
    """
    generator = np.random.default_rng(seed)
    to_first = generator.random(len(self.labels)) < share
    measured, _ = self._measure(
      lambda: route.mixture(self.runners, self.images, to_first)
    )
    first, second = (right.astype(float) for _, right in self._alone)
    expected = float(share * first.mean() + (1 - share) * second.mean())
    # The images are fixed; only the choice is random.
    variance = share * (1 - share) * np.sum((first - second) ** 2)
    error = math.sqrt(variance) / len(self.labels)
    difference = measured['top1'] - expected
    return {
      'share': share,
      **measured,
      'random_mix_top1': expected,
      'standard_error': error,
      'deviation': difference / error if error else 0.0,
    }

  def cascade(self, threshold: float) -> Point:
    """Asks B if A's confidence is at most a threshold.

    Returns:
      `top1` and `images_per_second`; `passed_on`, the fraction passed to B;
      `random_mix_top1`, the top-1 of the equally fast mixture.
    """
    passed: list[np.ndarray] = []

    def predict() -> np.ndarray:
      predicted, passed_on = route.cascade(self.runners, self.images, threshold)
      passed.append(passed_on)
      return predicted

    measured, _ = self._measure(predict)
    share = float(passed[0].mean())
    expected = random_mix(*self.ends, measured['images_per_second'])
    return {
      'threshold': threshold,
      'passed_on': share,
      **measured,
      'random_mix_top1': expected,
    }

  def curve(self) -> tuple[Point, Point, list[Point]]:
    """Measures the cascade at thresholds from A alone to B for every image.

    A's temperature and the thresholds are chosen on one half of the images; the
    other half is measured.

    Returns:
      A, B, and the points, as of `cascade`.
    """
    chosen = np.arange(len(self.labels)) % 2 == 0
    first = self.runners[0]
    logits = first.logits(self.images[0][chosen])
    first.temperature = route.best_temperature(
      logits, self.labels[chosen], first.activation
    )
    confidence = route.confidence(logits / first.temperature, first.activation)
    inner = np.linspace(0, 1, _POINTS)[1:-1]
    thresholds = [0.0, *np.quantile(confidence, inner), 1.0]
    half = dataclasses.replace(
      self,
      images=[images[~chosen] for images in self.images],
      labels=self.labels[~chosen],
    )
    a, b = half.ends
    points = [half.cascade(float(threshold)) for threshold in thresholds]
    for point in points:
      point['temperature'] = first.temperature
    return a, b, points

  def _measure(
    self, predict: Callable[[], np.ndarray]
  ) -> tuple[Point, np.ndarray]:
    """Returns top-1 and images per second of `predict`, and the hits."""
    for runner in self.runners:
      runner.seconds = 0.0
    right = predict() == self.labels
    seconds = sum(runner.seconds for runner in self.runners)
    point = {
      'examples': len(right),
      'top1': float(right.mean()),
      'images_per_second': len(right) / seconds,
    }
    return point, right


def open_pair(
  folders: Sequence[paths.PathLike],
  step: str,
  split: str | None,
  dataset: str | None,
  data_dir: str | None,
  images: int,
  batch_size: int,
) -> Pair:
  """Restores A and B, reads at most `images` images, and compiles.

  The arguments before `images` are those of `open_members`. The networks run on
  batches of `batch_size` images.

  Raises:
    UserError: There is no such checkpoint or split, or the networks have
      different classes.
  """
  members = open_members(folders, step, split, dataset, data_dir, DEFAULT)
  read, labels = pictures.read(members, images)
  runners = [
    route.Runner(m.predictor, m.variables, m.offset, batch_size, m.activation)
    for m in members
  ]
  for runner, own in zip(runners, read):
    runner(own[: runner.batch_size])  # Compiles.
  names = [member.folder for member in members]
  data = members[0].config.data
  return Pair(names, runners, read, labels, data.dataset, data.data_dir)


def random_mix(a: Point, b: Point, images_per_second: float) -> float:
  """Returns the top-1 of the random mixture of A and B at the same speed.

  Times per image mix linearly. Slower points are compared with B, and faster
  ones with A.
  """
  first, second, own = (
    1 / x
    for x in (a['images_per_second'], b['images_per_second'], images_per_second)
  )
  if first >= second:  # B is at least as fast as A.
    return b['top1']
  share = min(1.0, max(0.0, (second - own) / (second - first)))
  return share * a['top1'] + (1 - share) * b['top1']

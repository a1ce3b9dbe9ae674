"""What the metrics know of one side: of generated or of real images."""

import dataclasses
from typing import Any

import numpy as np

from inception.generative.moments import Gaussian, combine, combine_any

# Names of other features than the main ones.
SPATIAL, LOGITS = 'spatial', 'logits'


@dataclasses.dataclass(frozen=True, eq=False)
class Sample:
  """The features of some images, or only their statistics.

  Attributes:
    gaussian: Of the features for all metrics but sFID and IS, such as pool3.
    spatial: Of the features for sFID; None if unknown.
    halves: As `gaussian`, of two halves of the images; None if unknown.
    features: float32 [images, size], in order; None if unknown.
    logits: float32 [images, classes], in order; None if unknown.
    facts: How they were made: `mode`, `weights_sha256`, `crop`, ...
  """

  gaussian: Gaussian
  spatial: Gaussian | None = None
  halves: tuple[Gaussian, Gaussian] | None = None
  features: np.ndarray | None = None
  logits: np.ndarray | None = None
  facts: dict[str, Any] = dataclasses.field(default_factory=dict)

  @property
  def count(self) -> int | None:
    """Number of images; None if unknown."""
    return self.gaussian.count

  @property
  def own_features(self) -> np.ndarray | None:
    """The features, if they are of the same images as the statistics.

    ADM's files have statistics of a whole set, and only some of its images.
    """
    if self.features is None or len(self.features) != self.count:
      return None
    return self.features


def merge_samples(a: Sample, b: Sample) -> Sample:
  """Returns the sample of the images of both, first those of a.

  Raises:
    UserError: One does not state its number of images.
  """

  def join(x: np.ndarray | None, y: np.ndarray | None) -> np.ndarray | None:
    return None if x is None or y is None else np.concatenate([x, y])

  spatial, halves = None, None
  if a.spatial and b.spatial:
    spatial = combine([a.spatial, b.spatial])
  if a.halves and b.halves:
    one, other = (combine_any(pair) for pair in zip(a.halves, b.halves))
    halves = one, other
  return dataclasses.replace(
    a,
    gaussian=combine([a.gaussian, b.gaussian]),
    spatial=spatial,
    halves=halves,
    features=join(a.features, b.features),
    logits=join(a.logits, b.logits),
  )

"""Frechet distance of two Gaussians, its bias, and its limit for many images.

Heusel et al., 2017, "GANs trained by a two time-scale update rule converge to
a local Nash equilibrium", equation 6. All in float64, on the host.
"""

import numpy as np

from inception.errors import UserError
from inception.generative import progress_lines, resampling
from inception.generative.moments import Gaussian, combine

# Chong and Forsyth, 2020, "Effectively unbiased FID and Inception Score",
# section 4: 15 subsets, the smallest of 5,000 images.
_SUBSETS = 15
SMALLEST_SUBSET = 5000


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
  """Returns |m1 - m2|^2 + tr(S1 + S2 - 2 (S1^(1/2) S2 S1^(1/2))^(1/2)).

  It is exact to rounding at any rank, as with fewer images than features.

  Raises:
    UserError: The sizes differ, or a matrix is not a covariance.
  """
  for side in (a, b):
    if not isinstance(side, Gaussian):
      raise UserError(
        f'a {type(side).__name__} is not a Gaussian, as sample.gaussian is'
      )
  if a.mean.shape != b.mean.shape:
    raise UserError(
      f'the two sides have {a.mean.size} and {b.mean.size} features: they are'
      ' of different networks'
    )
  apart = a.mean - b.mean
  # The trace of that root is the nuclear norm of a product of roots. Squaring
  # the product instead would lose its small singular values to rounding.
  both = np.linalg.svd(a.root.T @ b.root, compute_uv=False)
  # Traces of what the roots keep of the covariances: equal sides are at zero.
  traces = np.sum(a.root**2) + np.sum(b.root**2)
  return float(apart @ apart + traces - 2 * np.sum(both))


def of_features(features: np.ndarray) -> Gaussian:
  """Returns the Gaussian of features [images, size], in float64.

  Raises:
    UserError: There are fewer than two images, or features are not finite.
  """
  rows = features.astype(np.float64)
  mean = rows.mean(axis=0)
  rows -= mean
  covariance = rows.T @ rows / max(len(rows) - 1, 1)
  return combine([Gaussian(mean, covariance, len(rows))])


def bias(
  halves: tuple[Gaussian, Gaussian], counts: tuple[int | None, ...]
) -> float:
  """Estimates by how much the distance is too large for lack of images.

  The bias is c (1/n1 + 1/n2); the distance of two halves of one side, whose
  true distance is zero, gives c.

  Args:
    halves: Of one side.
    counts: Number of images of each side; None, unknown, adds no bias.
  """
  a, b = (half.count or 0 for half in halves)
  per_image = frechet_distance(*halves) / (1 / a + 1 / b)
  return per_image * sum(1 / count for count in counts if count)


def frechet_infinity(
  features: np.ndarray, real: Gaussian, smallest: int = SMALLEST_SUBSET
) -> float:
  """Extrapolates the distance to infinitely many generated images.

  A line through the distances of 15 random subsets, over 1/n (Chong and
  Forsyth, 2020).

  Args:
    features: Of the generated images, [images, size].
    real: Gaussian of the real images.
    smallest: Images in the smallest subset.

  Raises:
    UserError: There are not more images than in the smallest subset.
  """
  if len(features) <= smallest:
    raise UserError(
      f'fid_infinity needs more than {smallest:,} generated images, not'
      f' {len(features):,}'
    )
  state = np.random.RandomState(resampling.SEED)
  sizes = np.linspace(smallest, len(features), _SUBSETS).astype(int)
  distances = [
    frechet_distance(of_features(resampling.choose(state, features, n)), real)
    for n in progress_lines.shown(sizes, 'fid_infinity', len(sizes))
  ]
  _, at_zero = np.polyfit(1 / sizes, distances, 1)
  return float(at_zero)


def standard_error(
  generated: np.ndarray, real: np.ndarray | Gaussian, resamples: int
) -> float:
  """Returns the standard error of the distance, by resampling images.

  Args:
    generated: Features [images, size].
    real: Features, or only their Gaussian, which is not resampled.
    resamples: As in `resampling.standard_error`.
  """
  if isinstance(real, Gaussian):
    return resampling.standard_error(
      lambda x: frechet_distance(of_features(x), real),
      generated,
      resamples=resamples,
    )
  return resampling.standard_error(
    lambda x, y: frechet_distance(of_features(x), of_features(y)),
    generated,
    real,
    resamples=resamples,
  )

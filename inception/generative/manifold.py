"""Precision, recall, density and coverage: which images lie near others.

Kynkaanniemi et al., 2019, "Improved precision and recall metric for assessing
generative models"; Naeem et al., 2020, "Reliable fidelity and diversity metrics
for generative models". Computed on the devices, in blocks.
"""

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from inception.errors import UserError
from inception.generative import blocks

Array = jax.Array

# Neighbors: ADM's and the paper's, and those of Naeem et al.
PRECISION_NEIGHBORS, DENSITY_NEIGHBORS = 3, 5


def precision_recall(
  generated: np.ndarray,
  real: np.ndarray,
  neighbors: int = PRECISION_NEIGHBORS,
) -> tuple[float, float]:
  """Returns the shares of generated and of real images within the other side.

  An image is within a side if it is no farther from one of its images than
  that one's k-th neighbor there.

  Args:
    generated: Features of generated images, [images, size].
    real: Features of real images, [images, size].
    neighbors: k.

  Raises:
    UserError: A side has too few images.
  """
  _check(neighbors, generated, real)
  generated, real = blocks.centered(generated, real)
  within_real = blocks.by_rows(
    _within, generated, real, _radii(real, neighbors)
  )
  radii = _radii(generated, neighbors)
  within_generated = blocks.by_rows(_within, real, generated, radii)
  return float(np.mean(within_real > 0)), float(np.mean(within_generated > 0))


def density_coverage(
  generated: np.ndarray,
  real: np.ndarray,
  neighbors: int = DENSITY_NEIGHBORS,
) -> tuple[float, float]:
  """Returns how densely real images surround generated ones, and coverage.

  Density counts the real images nearer to a generated one than to their own
  k-th neighbor, over k; coverage is the share of real images with a generated
  one nearer than that.

  Args:
    generated: Features of generated images, [images, size].
    real: Features of real images, [images, size].
    neighbors: k.

  Raises:
    UserError: A side has too few images.
  """
  _check(neighbors, generated, real)
  generated, real = blocks.centered(generated, real)
  radii = _radii(real, neighbors)
  around = blocks.by_rows(_strictly_within, generated, real, radii)
  nearest = blocks.by_rows(_nearest, real, generated)
  return float(np.mean(around) / neighbors), float(np.mean(nearest < radii))


def _check(neighbors: int, *sides: np.ndarray) -> None:
  least = min(map(len, sides))
  if least <= neighbors:
    raise UserError(
      f'the {neighbors} nearest neighbors of an image need at least'
      f' {neighbors + 1} images on each side, not {least}'
    )


def _radii(features: np.ndarray, neighbors: int) -> np.ndarray:
  """Returns every image's squared distance to its k-th neighbor."""
  return blocks.by_rows(_kth_nearest, features, features, neighbors=neighbors)


def _kth_nearest(rows: Array, columns: Array, neighbors: int) -> Array:
  distances = blocks.squared_distances(rows, columns)
  # The nearest is the image itself.
  return -lax.top_k(-distances, neighbors + 1)[0][:, -1]


def _within(rows: Array, columns: Array, radii: Array) -> Array:
  distances = blocks.squared_distances(rows, columns)
  return jnp.sum(distances <= radii, axis=1)


def _strictly_within(rows: Array, columns: Array, radii: Array) -> Array:
  distances = blocks.squared_distances(rows, columns)
  return jnp.sum(distances < radii, axis=1)


def _nearest(rows: Array, columns: Array) -> Array:
  return jnp.min(blocks.squared_distances(rows, columns), axis=1)

"""Kernel distances: KID and CMMD, squared maximum mean discrepancies.

Binkowski et al., 2018, "Demystifying MMD GANs", section 4; Jayasumana et al.,
2024, "Rethinking FID". Subsets are computed in float64 on the host, as
torch-fidelity does; all images are compared on the devices, in blocks.
"""

from collections.abc import Callable
import math

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from inception.errors import UserError
from inception.generative import blocks, resampling

Array = jax.Array

SUBSETS, SUBSET_SIZE = 100, 1000  # torch-fidelity's defaults.

_CMMD_SIGMA, _CMMD_SCALE = 10, 1000


def kernel_distance(
  generated: np.ndarray,
  real: np.ndarray,
  subsets: int = SUBSETS,
  subset_size: int = SUBSET_SIZE,
) -> tuple[float, float]:
  """Returns KID over random subsets: mean and standard deviation.

  The kernel is (x.y / size + 1)^3, the estimator unbiased. Subsets are
  torch-fidelity's.

  Args:
    generated: Features of generated images, [images, size].
    real: Features of real images, [images, size].
    subsets: Number of subsets.
    subset_size: Images per subset of each side.

  Raises:
    UserError: A subset is larger than a side.
  """
  least = min(len(generated), len(real))
  if subset_size > least:
    raise UserError(
      f'subsets of {subset_size:,} images are larger than a side: the largest'
      f' is {least:,}'
    )
  generated, real = (x.astype(np.float64) for x in (generated, real))
  state = np.random.RandomState(resampling.SEED)
  values = []
  for _ in range(subsets):
    parts = [
      resampling.choose(state, x, subset_size) for x in (generated, real)
    ]
    values.append(_unbiased(*parts))
  return float(np.mean(values)), float(np.std(values))


def _unbiased(x: np.ndarray, y: np.ndarray) -> float:
  """Returns the unbiased estimate for two sets, in float64."""

  def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a @ b.T / a.shape[1] + 1) ** 3

  def mean_of_pairs(a: np.ndarray) -> float:
    values = kernel(a, a)
    return (values.sum() - np.trace(values)) / (len(a) * (len(a) - 1))

  return mean_of_pairs(x) + mean_of_pairs(y) - 2 * kernel(x, y).mean()


def kernel_distance_of_all(generated: np.ndarray, real: np.ndarray) -> float:
  """Returns the unbiased KID from all pairs of images, on the devices.

  Args:
    generated: Features of generated images, float32 [images, size].
    real: Features of real images, float32 [images, size].
  """

  def mean_of_pairs(x: np.ndarray) -> float:
    own = np.sum((np.sum(x.astype(np.float64) ** 2, 1) / x.shape[1] + 1) ** 3)
    return (_sum(_cubic, x, x) - own) / (len(x) * (len(x) - 1))

  across = _sum(_cubic, generated, real) / (len(generated) * len(real))
  return mean_of_pairs(generated) + mean_of_pairs(real) - 2 * across


def cmmd(generated: np.ndarray, real: np.ndarray) -> float:
  """Returns 1000 times the distance by a Gaussian kernel with sigma 10.

  Biased: a pair of an image with itself counts, as in the published code. Its
  features are those of CLIP, which are not part of this project.

  Args:
    generated: Features of generated images, float32 [images, size].
    real: Features of real images, float32 [images, size].
  """
  pairs = (generated, generated), (real, real), (generated, real)
  own, theirs, across = (
    _sum(_gaussian, x, y) / (len(x) * len(y)) for x, y in pairs
  )
  return _CMMD_SCALE * (own + theirs - 2 * across)


def _cubic(rows: Array, columns: Array) -> Array:
  products = jnp.matmul(rows, columns.T, precision=lax.Precision.HIGHEST)
  return (products / rows.shape[1] + 1) ** 3


def _gaussian(rows: Array, columns: Array) -> Array:
  return jnp.exp(-blocks.squared_distances(rows, columns) / 2 / _CMMD_SIGMA**2)


def _sum(
  kernel: Callable[[Array, Array], Array], x: np.ndarray, y: np.ndarray
) -> float:
  """Sums a kernel over all pairs: rows in float32, their sums in float64."""
  return math.fsum(blocks.by_rows(_row_sums, x, y, kernel=kernel))


def _row_sums(
  rows: Array, columns: Array, kernel: Callable[[Array, Array], Array]
) -> Array:
  return jnp.sum(kernel(rows, columns), axis=1)

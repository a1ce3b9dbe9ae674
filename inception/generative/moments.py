"""Mean and covariance of a stream of features, on the devices.

    moments = empty(2048)
    moments = add(moments, features, mask)        # in every step
    gaussian = to_gaussian(moments)               # once, in float64

Sums of features and of their products are float32, taken about a shift near the
mean, each with an array of its rounding errors (Neumaier, 1974). Everything but
the last step works inside `jit`, `pmap`, `scan`, and `shard_map` with
check_vma=False.
"""

from collections.abc import Sequence
import dataclasses
import functools
from typing import Any

from flax import struct
import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from inception.errors import UserError

Array = jax.Array

# Share of the largest eigenvalue that float32 may make negative.
_NEGATIVE = 1e-4
_ROUNDING = 1e-7  # Of a product of features in float32.


@struct.dataclass
class Moments:
  """Sums over the features x of some images, about a shift s.

  Attributes:
    count: Number of images, int32.
    shift: s, float32 [size]; zeros until there are images.
    total: Sum of x - s, float32 [size].
    products: Sum of (x - s)(x - s)^T, float32 [size, size].
    total_error: Rounding error of `total`.
    products_error: Rounding error of `products`.
  """

  count: Array
  shift: Array
  total: Array
  products: Array
  total_error: Array
  products_error: Array


@dataclasses.dataclass(frozen=True, eq=False)
class Gaussian:
  """Mean and covariance of features.

  Attributes:
    mean: float64 [size].
    covariance: float64 [size, size], over count - 1.
    count: Number of images; None if unknown.
  """

  mean: np.ndarray
  covariance: np.ndarray
  count: int | None = None

  @functools.cached_property
  def root(self) -> np.ndarray:
    """R with R R^T = covariance.

    Eigenvalues that only rounding makes differ from zero are zero, as there are
    no more others than images but one.

    Raises:
      UserError: The matrix is not a covariance.
    """
    values, vectors = np.linalg.eigh(self.covariance)
    largest, mean = np.abs(values).max(), np.abs(self.mean).max()
    # Sums in float32 round relative to the squares of the features.
    if values.min() < -max(_NEGATIVE * largest, _ROUNDING * mean**2):
      raise UserError(
        'the matrix is not a covariance: its eigenvalues go from'
        f' {values.min():.3g} to {values.max():.3g}'
      )
    if self.count is not None:
      values[: max(0, len(values) - (self.count - 1))] = 0
    limit = values.size * np.finfo(np.float64).eps * values.max()
    return vectors * np.sqrt(np.where(values < limit, 0, values))


def empty(size: int) -> Moments:
  """Returns the moments of no images, for features [batch, size]."""
  vector = jnp.zeros((size,), jnp.float32)
  matrix = jnp.zeros((size, size), jnp.float32)
  return Moments(
    jnp.zeros((), jnp.int32), vector, vector, matrix, vector, matrix
  )


def add(
  moments: Moments, features: Array, mask: Array | None = None
) -> Moments:
  """Adds the features of a batch.

  Args:
    moments: Moments so far.
    features: Floats [batch, size].
    mask: bool [batch], True for the rows that count; None: all.

  Raises:
    UserError: The shapes do not fit each other.
  """
  rows = features.astype(jnp.float32)
  if mask is None:
    mask = jnp.ones(rows.shape[:1], bool)
  (size,) = moments.shift.shape
  if rows.ndim != 2 or rows.shape[1] != size or mask.shape != rows.shape[:1]:
    raise UserError(
      f'features {rows.shape} and a mask {mask.shape} are not [batch, {size}]'
      ' and [batch]'
    )
  count = jnp.sum(mask, dtype=jnp.int32)
  # `where` also keeps NaN in masked rows out.
  mean = jnp.sum(jnp.where(mask[:, None], rows, 0), 0) / jnp.maximum(count, 1)
  shift = jnp.where(moments.count > 0, moments.shift, mean)
  rows = jnp.where(mask[:, None], rows - shift, 0)
  products = jnp.matmul(rows.T, rows, precision=lax.Precision.HIGHEST)
  zero, zeros = jnp.zeros_like(shift), jnp.zeros_like(products)
  part = Moments(count, shift, jnp.sum(rows, 0), products, zero, zeros)
  return _sum(dataclasses.replace(moments, shift=shift), part)


def merge(a: Moments, b: Moments) -> Moments:
  """Returns the moments of the images of both (Chan et al., 1979)."""
  shift = jnp.where(a.count > 0, a.shift, b.shift)
  return _sum(_about(a, shift), _about(b, shift))


def across(moments: Moments, axis_name: str) -> Moments:
  """Returns the moments of all devices of a mapped axis, on each of them."""
  count = lax.psum(moments.count, axis_name)
  shift = lax.psum(moments.count * moments.shift, axis_name)
  moments = _about(moments, shift / jnp.maximum(count, 1))
  summed = lax.psum(moments, axis_name)
  return dataclasses.replace(summed, shift=moments.shift)


def to_gaussian(moments: Moments) -> Gaussian:
  """Returns mean and covariance in float64, on the host.

  Args:
    moments: Moments; further axes before those of `Moments` are merged, such
      as the devices of a pmap.

  Raises:
    UserError: There are fewer than two images, or features are not finite.
  """
  return combine(gaussians(moments))


def gaussians(moments: Moments) -> list[Gaussian]:
  """Returns the Gaussian of each index of the axes before those of `Moments`.

  Without images, mean and covariance are zero.
  """
  host = jax.tree.map(np.asarray, moments)
  return [
    _gaussian(jax.tree.map(lambda x, i=i: x[i], host))
    for i in np.ndindex(host.count.shape)
  ]


def combine(parts: Sequence[Gaussian]) -> Gaussian:
  """Returns mean and covariance of the images of all parts, in float64.

  Raises:
    UserError: There are fewer than two images in total, a part's count is
      unknown, or features are not finite.
  """
  if any(part.count is None for part in parts):
    raise UserError('statistics can be merged only if they state their count')
  total = combine_any(parts)
  if total.count is None or total.count < 2:
    raise UserError(
      f'a covariance needs at least two images, not {total.count}'
    )
  if not np.isfinite(total.covariance).all():
    raise UserError(
      'features are not finite, or too large: look for NaN in the images and'
      ' the weights'
    )
  return total


def combine_any(parts: Sequence[Gaussian]) -> Gaussian:
  """Returns `combine` without its checks; parts may have no images."""
  return functools.reduce(_combine_two, parts)


def _combine_two(a: Gaussian, b: Gaussian) -> Gaussian:
  assert a.count is not None and b.count is not None
  if not (a.count and b.count):
    return a if a.count else b
  count = a.count + b.count
  apart = b.mean - a.mean
  scatter = a.covariance * (a.count - 1) + b.covariance * (b.count - 1)
  scatter += np.outer(apart, apart) * (a.count * b.count / count)
  mean = a.mean + apart * (b.count / count)
  return Gaussian(mean, scatter / max(count - 1, 1), count)


def _gaussian(moments: Any) -> Gaussian:
  """Converts the moments of one index, NumPy arrays."""
  count = int(moments.count)
  total = moments.total.astype(np.float64) + moments.total_error
  products = moments.products.astype(np.float64) + moments.products_error
  scatter = products - np.outer(total, total / max(count, 1))
  scatter = (scatter + scatter.T) / 2
  mean = moments.shift.astype(np.float64) + total / max(count, 1)
  return Gaussian(mean, scatter / max(count - 1, 1), count)


def _about(moments: Moments, shift: Array) -> Moments:
  """Returns the same moments about a different shift."""
  moved = jnp.where(moments.count > 0, moments.shift - shift, 0)
  crossed = jnp.outer(moments.total, moved)
  squared = moments.count * jnp.outer(moved, moved)
  correction = dataclasses.replace(
    moments,
    count=jnp.zeros_like(moments.count),
    total=moments.count * moved,
    products=crossed + crossed.T + squared,
    total_error=jnp.zeros_like(moved),
    products_error=jnp.zeros_like(moments.products_error),
  )
  return dataclasses.replace(_sum(moments, correction), shift=shift)


def _sum(a: Moments, b: Moments) -> Moments:
  """Adds moments about the same shift, and keeps what rounding takes."""
  total, total_error = _add_exactly(a.total, b.total)
  products, products_error = _add_exactly(a.products, b.products)
  return Moments(
    a.count + b.count,
    a.shift,
    total,
    products,
    a.total_error + b.total_error + total_error,
    a.products_error + b.products_error + products_error,
  )


def _add_exactly(a: Array, b: Array) -> tuple[Array, Array]:
  """Returns a + b rounded, and the rest (Knuth's two-sum)."""
  total = a + b
  of_b = total - a
  return total, (a - (total - of_b)) + (b - of_b)

"""Pooling and local response norm: layers without parameters.

CPUs pool by slices (slices.py), and so do GPUs for max pooling with a gradient;
the results are the same.
"""

import functools

from flax import linen as nn
import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from inception.modules import slices
from inception.spec import shapes
from inception.spec import vocabulary as v

Array = jax.Array


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def max_pool(x: Array, pool: v.MaxPool) -> Array:
  """Takes the maximum over windows of [batch, height, width, channels].

  Of equal values in a window, the first gets the gradient.
  """
  return lax.platform_dependent(
    x,
    cpu=lambda x: slices.max_pool(x, pool),
    default=lambda x: plain_max_pool(x, pool),
  )


def _max_pool_forward(
  x: Array, pool: v.MaxPool
) -> tuple[Array, tuple[Array, Array]]:
  def default(x: Array) -> tuple[Array, Array]:
    pooled = plain_max_pool(x, pool)
    return pooled, jnp.zeros(pooled.shape, jnp.uint8)  # Never read.

  def by_slices(x: Array) -> tuple[Array, Array]:
    return slices.max_and_tap(x, pool)

  pooled, tap = lax.platform_dependent(
    x, cpu=by_slices, cuda=by_slices, default=default
  )
  return pooled, (x, tap)


def _max_pool_backward(
  pool: v.MaxPool, saved: tuple[Array, Array], cotangent: Array
) -> tuple[Array]:
  def default(x: Array, tap: Array, cotangent: Array) -> Array:
    del tap
    (gradient,) = jax.vjp(lambda x: plain_max_pool(x, pool), x)[1](cotangent)
    return gradient

  def by_slices(x: Array, tap: Array, cotangent: Array) -> Array:
    return slices.max_pool_gradient(tap, cotangent, x, pool)

  gradient = lax.platform_dependent(
    *saved, cotangent, cpu=by_slices, cuda=by_slices, default=default
  )
  return (gradient,)


max_pool.defvjp(_max_pool_forward, _max_pool_backward)


def plain_max_pool(x: Array, pool: v.MaxPool) -> Array:
  """Like `max_pool`, by XLA's own operation on all devices."""
  height, width = x.shape[1:3]
  return nn.max_pool(
    x,
    shapes.kernel_size(pool, height, width),
    (pool.stride, pool.stride),
    shapes.pads(pool, height, width),
  )


def avg_pool(x: Array, pool: v.AvgPool) -> Array:
  """Averages windows of [batch, height, width, channels]; see `AvgPool`.

  Sums are in float32: a window of 25 pixels loses bits in bfloat16.
  """
  return lax.platform_dependent(
    x,
    cpu=lambda x: slices.avg_pool(x, pool),
    default=lambda x: plain_avg_pool(x, pool),
  )


def plain_avg_pool(x: Array, pool: v.AvgPool) -> Array:
  """Like `avg_pool`, by XLA's own operation on all devices."""
  height, width = x.shape[1:3]
  pooled = nn.avg_pool(
    x.astype(jnp.float32),
    shapes.kernel_size(pool, height, width),
    (pool.stride, pool.stride),
    shapes.pads(pool, height, width),
    count_include_pad=pool.count_include_pad,
  )
  return pooled.astype(x.dtype)


def adaptive_avg_pool(x: Array, pool: v.AdaptiveAvgPool) -> Array:
  """Averages [batch, height, width, channels] to a square grid.

  Two small matrix products, one for rows and one for columns, in float32.
  """
  rows, columns = (_bins(side, pool.size) for side in x.shape[1:3])
  return jnp.einsum(
    'bhwc,ih,jw->bijc',
    x.astype(jnp.float32),
    rows,
    columns,
    precision=lax.Precision.HIGHEST,
  ).astype(x.dtype)


def local_response_norm(x: Array, norm: v.LocalResponseNorm) -> Array:
  """Divides by a power of the mean square over neighboring channels.

  AlexNet paper (Krizhevsky et al., 2012), section 3.3, with alpha divided by
  the size as in Caffe. Computed in float32.
  """
  square = jnp.square(x.astype(jnp.float32))
  half = norm.size // 2
  total = lax.reduce_window(
    square,
    0.0,
    lax.add,
    (1, 1, 1, norm.size),
    (1, 1, 1, 1),
    ((0, 0), (0, 0), (0, 0), (half, norm.size - 1 - half)),
  )
  scale = norm.bias + norm.alpha / norm.size * total
  return (x * scale**-norm.beta).astype(x.dtype)


def _bins(side: int, size: int) -> np.ndarray:
  """Returns float32 [size, side]: each row averages one window of the side."""
  start = np.arange(size) * side // size
  end = -(-np.arange(1, size + 1) * side // size)
  pixels = np.arange(side)
  inside = (pixels >= start[:, None]) & (pixels < end[:, None])
  return (inside / inside.sum(1, keepdims=True)).astype(np.float32)

"""Pooling and local response norm: layers without parameters."""

from collections.abc import Callable

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from inception.architectures import shapes
from inception.architectures import vocabulary as v

Array = jax.Array


def max_pool(x: Array, pool: v.MaxPool) -> Array:
  """Takes the maximum over windows of [batch, height, width, channels]."""
  window = v.height_width(pool.kernel)
  return _reduce_windows(x, -np.inf, lax.max, window, pool.stride, pool.padding)


def avg_pool(x: Array, pool: v.AvgPool) -> Array:
  """Averages windows of [batch, height, width, channels]; see `AvgPool`.

  Sums are made in float32: a window of 25 loses bits in bfloat16.
  """
  window = shapes.kernel_size(pool, x.shape[1], x.shape[2])
  arguments = (0.0, lax.add, window, pool.stride, pool.padding)
  total = _reduce_windows(x.astype(jnp.float32), *arguments)
  if pool.count_border:
    return (total / (window[0] * window[1])).astype(x.dtype)
  real = np.ones((1, *x.shape[1:3], 1), np.float32)
  count = _reduce_windows(jnp.asarray(real), *arguments)
  return (total / count).astype(x.dtype)


def adaptive_avg_pool(x: Array, pool: v.AdaptiveAvgPool) -> Array:
  """Averages [batch, height, width, channels] to a square grid.

  Two small products, one for rows and one for columns, in float32.
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
  """Divides by a power of the mean square over neighbouring channels.

  AlexNet paper (Krizhevsky et al., 2012), section 3.3, with alpha divided by
  the size as Caffe has it. Computed in float32.
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
  places = np.arange(side)
  inside = (places >= start[:, None]) & (places < end[:, None])
  return (inside / inside.sum(1, keepdims=True)).astype(np.float32)


def _reduce_windows(
  x: Array,
  initial: float,
  function: Callable[[Array, Array], Array],
  window: tuple[int, int],
  stride: int,
  padding: v.Padding,
) -> Array:
  pads: str | list[tuple[int, int]] = padding
  if padding == 'SYMMETRIC':
    pads = [(0, 0), *((size // 2, size // 2) for size in window), (0, 0)]
  return lax.reduce_window(
    x,
    np.array(initial, x.dtype),
    function,
    (1, *window, 1),
    (1, stride, stride, 1),
    pads,
  )

"""Pooling as a loop over slices, one for each tap of a window.

XLA fuses the slices and their consumer into one loop. On CPUs that is several
times faster than XLA's own pooling, and more so for bfloat16, integers and
gradients. GPUs pool like this only for gradients of max pooling, where XLA's
own pooling would write four int32 indices per maximum and sum with atomic
operations. TPUs use XLA's own.
"""

from collections.abc import Iterator
import functools
import itertools
import math
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from inception.spec import shapes
from inception.spec import vocabulary as v

Array = jax.Array


def windows(x: Any, pool: v.MaxPool | v.AvgPool, fill: Any) -> Iterator[Any]:
  """Yields one array for each tap of the window, over all windows.

  Args:
    x: [batch, height, width, channels], a NumPy or JAX array.
    pool: Gives size, stride and padding.
    fill: The value of the padding.
  """
  height, width = x.shape[1:3]
  pads = ((0, 0), *shapes.pads(pool, height, width), (0, 0))
  library = np if isinstance(x, np.ndarray) else jnp
  padded = library.pad(x, pads, constant_values=fill)
  rows, columns = shapes.output_shape(pool, x.shape[1:])[:2]
  for top, left in _taps(pool, height, width):
    bottom = top + (rows - 1) * pool.stride + 1
    right = left + (columns - 1) * pool.stride + 1
    yield padded[:, top : bottom : pool.stride, left : right : pool.stride]


def max_pool(x: Array, pool: v.MaxPool) -> Array:
  """Takes the maximum over windows of [batch, height, width, channels]."""
  return functools.reduce(jnp.maximum, _float_windows(x, pool)).astype(x.dtype)


def max_and_tap(x: Array, pool: v.MaxPool) -> tuple[Array, Array]:
  """Returns the maximum, and the index of its tap in the window, uint8.

  Of equal values the first counts, as in XLA's gradient.
  """
  taps = _float_windows(x, pool)
  best = next(taps)
  tap = jnp.zeros(best.shape, jnp.uint8)
  for i, value in enumerate(taps, start=1):
    tap = jnp.where(value > best, jnp.uint8(i), tap)
    best = jnp.maximum(best, value)
  return best.astype(x.dtype), tap


def max_pool_gradient(
  tap: Array, cotangent: Array, x: Array, pool: v.MaxPool
) -> Array:
  """Returns the gradient with respect to `x`, in its shape and dtype.

  Args:
    tap: From `max_and_tap`.
    cotangent: Cotangent of the output.
    x: Input of the pooling; only its shape and dtype are read.
    pool: Gives size, stride and padding.
  """
  # Without the barrier, XLA would recompute the taps for each slice.
  tap = lax.optimization_barrier(tap)
  cotangent = cotangent.astype(jnp.float32)
  total = jnp.zeros(x.shape, jnp.float32)
  height, width = x.shape[1:3]
  pads = shapes.pads(pool, height, width)
  for i, corner in enumerate(_taps(pool, height, width)):
    chosen = jnp.where(tap == i, cotangent, 0)
    spread = _spread(chosen, x, corner, pads, pool.stride)
    total += lax.pad(chosen, jnp.float32(0), spread)
  return total.astype(x.dtype)


def avg_pool(x: Array, pool: v.AvgPool) -> Array:
  """Averages windows of [batch, height, width, channels], in float32."""
  total = functools.reduce(jnp.add, windows(x.astype(jnp.float32), pool, 0))
  return (total / counts(x, pool)).astype(x.dtype)


def counts(x: Array, pool: v.AvgPool) -> Any:
  """Returns the number of averaged values: an int, or [1, rows, columns, 1]."""
  height, width = x.shape[1:3]
  if pool.count_include_pad:
    return math.prod(shapes.kernel_size(pool, height, width))
  inside = np.ones((1, height, width, 1), np.int32)
  return functools.reduce(np.add, windows(inside, pool, 0))


def _float_windows(x: Array, pool: v.MaxPool) -> Iterator[Array]:
  # CPUs compare fastest in float32.
  return windows(x.astype(jnp.float32), pool, -jnp.inf)


def _taps(
  pool: v.MaxPool | v.AvgPool, height: int, width: int
) -> Iterator[tuple[int, int]]:
  """Yields (row, column) of each tap in a window on a grid of that size."""
  rows, columns = shapes.kernel_size(pool, height, width)
  return itertools.product(range(rows), range(columns))


def _spread(
  cotangent: Array,
  x: Array,
  corner: tuple[int, int],
  pads: shapes.Pads,
  stride: int,
) -> list[tuple[int, int, int]]:
  """Returns the padding that moves a slice back to its pixels of `x`."""
  sides = [(0, 0, 0)]
  for side in range(2):
    low = corner[side] - pads[side][0]
    size = (cotangent.shape[1 + side] - 1) * stride + 1
    sides.append((low, x.shape[1 + side] - low - size, stride - 1))
  return [*sides, (0, 0, 0)]

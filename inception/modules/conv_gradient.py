"""Convolution with a custom kernel gradient on CPUs.

XLA computes that gradient on CPUs as a convolution whose window is the output
grid, which takes several times as long as the forward pass unless that grid is
small. Here it is a few matrix products. All other programs are unchanged.
"""

from collections.abc import Sequence
import itertools
import math
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp

from inception.spec.shapes import Pads

Array = jax.Array

# Output pixels per product, at least: enough for a fast product, and few enough
# for its operands to stay in the cache. Figures: docs/speed-of-training.md.
_PIXELS = 1000

# XLA is as fast for kernels wider than one pixel on grids of fewer pixels.
_SMALL_GRID = 64


def plain_convolution(
  x: Array,
  kernel: Array,
  stride: int,
  pads: Pads,
  precision: lax.Precision | None,
) -> Array:
  """Convolves NHWC images with an HWIO kernel of the same dtype."""
  return lax.conv_general_dilated(
    x,
    kernel,
    (stride, stride),
    pads,
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    precision=precision,
  )


def _forward(
  x: Array,
  kernel: Array,
  stride: int,
  pads: Pads,
  precision: lax.Precision | None,
) -> tuple[Array, tuple[Array, Array]]:
  y = plain_convolution(x, kernel, stride, pads, precision)
  return y, (x, kernel)


def _backward(
  stride: int,
  pads: Pads,
  precision: lax.Precision | None,
  saved: tuple[Array, Array],
  cotangent: Array,
) -> tuple[Array, Array]:
  def default(x: Array, kernel: Array, cotangent: Array) -> Array:
    _, gradient = jax.vjp(
      lambda kernel: plain_convolution(x, kernel, stride, pads, precision),
      kernel,
    )
    return gradient(cotangent)[0]

  def cpu(x: Array, kernel: Array, cotangent: Array) -> Array:
    return _by_products(x, kernel, cotangent, stride, pads, precision)

  x, kernel = saved
  _, gradient = jax.vjp(
    lambda x: plain_convolution(x, kernel, stride, pads, precision), x
  )
  (to_x,) = gradient(cotangent)
  pixels = math.prod(cotangent.shape[1:3])
  if kernel.shape[1] > 1 and pixels < _SMALL_GRID:
    return to_x, default(x, kernel, cotangent)
  to_kernel = lax.platform_dependent(
    x, kernel, cotangent, cpu=cpu, default=default
  )
  return to_x, to_kernel


convolution = jax.custom_vjp(plain_convolution, nondiff_argnums=(2, 3, 4))
convolution.defvjp(_forward, _backward)


def _by_products(
  x: Array,
  kernel: Array,
  cotangent: Array,
  stride: int,
  pads: Pads,
  precision: lax.Precision | None,
) -> Array:
  """Returns the gradient with respect to the kernel, in its dtype."""
  # Correlates the input at each kernel tap with the output cotangent, summed
  # over all pixels of all images. Only shape and dtype of the kernel are read.
  taps = math.prod(kernel.shape[:2])
  padded = jnp.pad(x, ((0, 0), *pads, (0, 0)))
  batch, *grid, features = cotangent.shape
  # A 1x1 kernel reads its input in place: one product over all images.
  rows = batch if taps == 1 else _images_at_a_time(batch, grid)

  def add_images(total: Array, part: Any) -> Any:
    images, their_cotangent = part
    seen = [
      _seen(images, top, left, stride, grid)
      for top, left in itertools.product(*map(range, kernel.shape[:2]))
    ]
    product = lax.dot_general(
      jnp.concatenate(seen, axis=-1),
      their_cotangent.reshape(-1, features),
      (((0,), (0,)), ((), ())),
      precision=precision,
    )
    # Without this barrier, XLA lets oneDNN add the product to the total, which
    # it does in 16 bits if the product has 16.
    return total + lax.optimization_barrier(product).astype(total.dtype), None

  total = jnp.zeros((taps * x.shape[-1], features), jnp.float32)
  parts = [y.reshape(-1, rows, *y.shape[1:]) for y in (padded, cotangent)]
  total, _ = lax.scan(add_images, total, parts)
  return total.reshape(kernel.shape).astype(kernel.dtype)


def _images_at_a_time(batch: int, grid: Sequence[int]) -> int:
  """Returns the smallest divisor of the batch with `_PIXELS` pixels, or all."""
  divisors = [n for n in range(1, batch + 1) if batch % n == 0]
  return next((n for n in divisors if n * math.prod(grid) >= _PIXELS), batch)


def _seen(
  images: Array, top: int, left: int, stride: int, grid: Sequence[int]
) -> Array:
  """Returns the pixels of padded images that a tap reads, [pixels, in]."""
  rows, columns = ((size - 1) * stride + 1 for size in grid)
  window = images[:, top : top + rows : stride, left : left + columns : stride]
  return window.reshape(-1, images.shape[-1])

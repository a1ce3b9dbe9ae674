"""Convolution with a custom kernel gradient on CPUs.

XLA computes that gradient on CPUs as a convolution whose window is the output
grid, which for some shapes takes several times as long as the forward pass. For
those, this module uses one matrix product per kernel tap. All other programs
are unchanged.
"""

import itertools
import math
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp

from inception.spec.shapes import Pads

Array = jax.Array

# Products are faster on output grids wider than this (pixels), for kernels one
# pixel wide, and with a stride. Figures are in docs/speed-of-training.md.
_WIDE_GRID = 50

# With at least this many input channels, a product per tap is large enough.
_MANY_CHANNELS = 64


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
  if not _is_slow(kernel, cotangent, stride):
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
  height, width, channels, features = kernel.shape
  padded = jnp.pad(x, ((0, 0), *pads, (0, 0)))
  taps = list(itertools.product(range(height), range(width)))

  def product(images: Array, taps: list[tuple[int, int]], y: Array) -> Array:
    """Returns the gradient of some taps, [taps * in, out]."""
    saw = [_seen(images, *tap, stride, y.shape[1:3]) for tap in taps]
    return lax.dot_general(
      jnp.concatenate(saw, axis=-1),
      y.reshape(-1, features),
      (((0,), (0,)), ((), ())),
      precision=precision,
      preferred_element_type=jnp.float32,
    )

  if width == 1 or channels >= _MANY_CHANNELS:
    total = jnp.stack([product(padded, [tap], cotangent) for tap in taps])
  else:
    # Few channels give small products, so all taps share one. It runs image by
    # image to keep the copies of an image's pixels in the cache.
    def add_image(total: Array, image: tuple[Array, Array]) -> Any:
      pixels, its_cotangent = (part[None] for part in image)
      return total + product(pixels, taps, its_cotangent), None

    total = jnp.zeros((math.prod(kernel.shape[:3]), features), jnp.float32)
    total, _ = lax.scan(add_image, total, (padded, cotangent))
  return total.reshape(kernel.shape).astype(kernel.dtype)


def _seen(
  images: Array, top: int, left: int, stride: int, grid: tuple[int, ...]
) -> Array:
  """Returns the pixels of padded images that a tap reads, [pixels, in]."""
  rows, columns = ((size - 1) * stride + 1 for size in grid)
  window = images[:, top : top + rows : stride, left : left + columns : stride]
  return window.reshape(-1, images.shape[-1])


def _is_slow(kernel: Array, cotangent: Array, stride: int) -> bool:
  """True for shapes that XLA computes slowly on CPUs."""
  return kernel.shape[1] == 1 or cotangent.shape[2] > _WIDE_GRID or stride > 1

"""Rounding to int8, for inference and for quantization-aware training.

real = scale * integer, with a zero point of 0; kernels have one scale per
output channel, other tensors a single scale. Jacob et al., 2018, "Quantization
and training of neural networks for efficient integer-arithmetic-only
inference", sections 2 and 3.
"""

import jax
from jax import lax
import jax.numpy as jnp

Array = jax.Array

LARGEST = 127  # The largest int8 in use; without -128, the range is symmetric.


def scale_of(largest: jax.typing.ArrayLike) -> Array:
  """Returns the float32 scale that maps a magnitude to the largest int8.

  An all-zero tensor is exact at any scale, so its scale is 1.
  """
  largest = jnp.asarray(largest, jnp.float32)
  return jnp.where(largest > 0, largest / LARGEST, 1)


def kernel_scale(kernel: jax.typing.ArrayLike) -> Array:
  """Returns the scales [out] of a kernel [..., out]."""
  kernel = jnp.asarray(kernel)
  return scale_of(jnp.max(jnp.abs(kernel), tuple(range(kernel.ndim - 1))))


def quantize(x: jax.typing.ArrayLike, scale: Array) -> Array:
  """Returns the int8 nearest to x / scale, clipped to the range in use."""
  rounded = jnp.round(x * (1 / scale))
  return jnp.clip(rounded, -LARGEST, LARGEST).astype(jnp.int8)


def round_kernel(kernel: Array) -> Array:
  """Rounds a kernel [..., out] in training.

  The forward pass uses rounded values; the backward pass ignores the rounding.
  The scale of batch norm does not matter: folding it in multiplies kernel and
  quantization scale alike.
  """
  return _round(kernel, kernel_scale(kernel))


def round_activation(x: Array, axis_name: str | None) -> Array:
  """Rounds a tensor in training, by its largest magnitude over a pmap axis."""
  largest = lax.stop_gradient(jnp.max(jnp.abs(x)))
  if axis_name is not None:
    largest = lax.pmax(largest, axis_name)
  return _round(x, scale_of(largest))


def _round(x: Array, scale: Array) -> Array:
  rounded = quantize(x.astype(jnp.float32), scale) * scale
  return x + lax.stop_gradient(rounded.astype(x.dtype) - x)

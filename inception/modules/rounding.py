"""Rounding to int8: scales and integers, and the same numbers in training.

real = scale * integer, with zero at zero; a kernel has a scale per output
channel, another tensor one. Jacob et al., 2018, "Quantization and training of
neural networks for efficient integer-arithmetic-only inference", sections 2
and 3.
"""

import jax
from jax import lax
import jax.numpy as jnp

Array = jax.Array

LARGEST = 127  # The largest int8 in use; -128 has no opposite.


def scale_of(largest: jax.typing.ArrayLike) -> Array:
  """Returns the float32 scale at which a magnitude is the largest int8.

  What is always zero stays so at any scale, so it has scale 1.
  """
  largest = jnp.asarray(largest, jnp.float32)
  return jnp.where(largest > 0, largest / LARGEST, 1)


def kernel_scale(kernel: jax.typing.ArrayLike) -> Array:
  """Returns the scales [out] of a kernel [..., out]."""
  kernel = jnp.asarray(kernel)
  return scale_of(jnp.max(jnp.abs(kernel), tuple(range(kernel.ndim - 1))))


def quantize(x: jax.typing.ArrayLike, scale: Array) -> Array:
  """Rounds to the nearest of the int8 multiples of a scale."""
  rounded = jnp.round(x * (1 / scale))
  return jnp.clip(rounded, -LARGEST, LARGEST).astype(jnp.int8)


def round_kernel(kernel: Array) -> Array:
  """Rounds a kernel [..., out] in training.

  The forward pass sees rounded numbers, the backward pass does not see the
  rounding. The scale of batch norm does not matter: folding it in multiplies
  kernel and scale alike.
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

"""Rounding to int8 in training, so that the network learns to live with it.

Jacob et al., 2018, section 3: the forward pass sees rounded numbers, the
backward pass does not see the rounding.
"""

import jax
from jax import lax
import jax.numpy as jnp

Array = jax.Array

_LARGEST = 127


def round_kernel(kernel: Array) -> Array:
  """Rounds a kernel [..., out] with a scale per output channel.

  The scale of batch norm does not matter: folding it in multiplies kernel and
  scale alike.
  """
  axes = tuple(range(kernel.ndim - 1))
  return _round(kernel, jnp.max(jnp.abs(kernel), axes))


def round_activation(x: Array, axis_name: str | None) -> Array:
  """Rounds a tensor with one scale, by its largest magnitude.

  Args:
    x: Any shape.
    axis_name: pmap axis over which the largest magnitude is taken, or None.
  """
  largest = lax.stop_gradient(jnp.max(jnp.abs(x)))
  if axis_name is not None:
    largest = lax.pmax(largest, axis_name)
  return _round(x, largest)


def _round(x: Array, largest: Array) -> Array:
  scale = jnp.where(largest > 0, largest, 1).astype(jnp.float32) / _LARGEST
  rounded = jnp.round(x.astype(jnp.float32) / scale) * scale
  return x + lax.stop_gradient(rounded.astype(x.dtype) - x)

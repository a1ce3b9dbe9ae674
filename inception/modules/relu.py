"""ReLU that keeps NaN, on CPUs too."""

import jax
from jax import lax
import jax.numpy as jnp

Array = jax.Array


@jax.custom_jvp
def relu(x: Array) -> Array:
  """Returns max(x, 0); NaN stays NaN, and the gradient at 0 is 0."""
  # On CPUs, XLA fuses a maximum with the convolution before it, and lets oneDNN
  # compute both, which returns 0 for NaN: a network whose weights or images
  # hold NaN would give finite logits. XLA does not recognize this form.
  return lax.platform_dependent(
    x,
    cpu=lambda x: jnp.where(x <= 0, jnp.zeros_like(x), x),
    default=lambda x: jnp.maximum(x, 0),
  )


@relu.defjvp
def _jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
  (x,), (tangent,) = primals, tangents
  return relu(x), jnp.where(x > 0, tangent, jnp.zeros_like(tangent))

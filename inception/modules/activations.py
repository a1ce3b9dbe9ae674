"""From logits to probabilities: the last activation of a network."""

from collections.abc import Callable
import dataclasses

import jax
import jax.numpy as jnp
import optax

Array = jax.Array


@dataclasses.dataclass(frozen=True)
class Activation:
  """A last activation.

  Attributes:
    probabilities: Maps logits float32 [batch, classes] to probabilities.
    logits: Maps probabilities to logits that `probabilities` maps to them.
    cross_entropy: Maps logits and labels int32 [batch] to nats [batch].
  """

  probabilities: Callable[[Array], Array]
  logits: Callable[[Array], Array]
  cross_entropy: Callable[[Array, Array], Array]


def _binary_cross_entropy(logits: Array, labels: Array) -> Array:
  """Sums over the classes, of which the label alone is right."""
  own = jnp.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
  return jnp.sum(jax.nn.softplus(logits), axis=1) - own


# `model.activation`.
ACTIVATIONS = {
  'softmax': Activation(
    jax.nn.softmax, jnp.log, optax.softmax_cross_entropy_with_integer_labels
  ),
  # Each class is decided by itself.
  'sigmoid': Activation(
    jax.nn.sigmoid, jax.scipy.special.logit, _binary_cross_entropy
  ),
}

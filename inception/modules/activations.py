"""Final activations, which map logits to probabilities, and their losses."""

from collections.abc import Callable
import dataclasses

import jax
import jax.numpy as jnp
import optax

Array = jax.Array


@dataclasses.dataclass(frozen=True)
class Activation:
  """A final activation.

  Attributes:
    probabilities: Maps logits float32 [batch, classes] to probabilities.
    logits: Maps probabilities back to logits; inverts `probabilities`.
    cross_entropy: Maps logits and labels int32 [batch] to losses in nats.
  """

  probabilities: Callable[[Array], Array]
  logits: Callable[[Array], Array]
  cross_entropy: Callable[[Array, Array], Array]


def _binary_cross_entropy(logits: Array, labels: Array) -> Array:
  """Sums over all classes; the label is the only positive."""
  own = jnp.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
  return jnp.sum(jax.nn.softplus(logits), axis=1) - own


# `model.activation`.
ACTIVATIONS = {
  'softmax': Activation(
    jax.nn.softmax, jnp.log, optax.softmax_cross_entropy_with_integer_labels
  ),
  # Classes are independent.
  'sigmoid': Activation(
    jax.nn.sigmoid, jax.scipy.special.logit, _binary_cross_entropy
  ),
}

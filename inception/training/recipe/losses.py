"""The training loss: smoothed cross-entropy of all heads."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax

from inception.modules.network import Outputs

Array = jax.Array


def training_loss(
  outputs: Outputs,
  targets: Array,
  config: ml_collections.ConfigDict,
  class_weights: jax.typing.ArrayLike | None = None,
) -> Array:
  """Mean loss of a batch, including the weighted loss of auxiliary heads.

  Cross-entropy against (1 - smoothing) * targets + smoothing / classes:
  Inception-v3 paper, section 7.

  Args:
    outputs: Outputs of the network in training.
    targets: float32 [batch, classes], probabilities (one-hot for a label).
    config: `config.loss`.
    class_weights: See `Recipe`.

  Returns:
    The loss in nats, float32 scalar.
  """
  weights: Array | float = 1.0
  if class_weights is not None:
    weights = targets @ jnp.asarray(class_weights)
  smoothed = optax.smooth_labels(targets, config.label_smoothing)

  def mean_loss(logits: Array) -> Array:
    loss = optax.softmax_cross_entropy(logits, smoothed)
    return jnp.mean(weights * loss)

  loss = mean_loss(outputs.logits)
  for logits in outputs.aux_logits:
    loss += config.aux_weight * mean_loss(logits)
  return loss


def _balanced(counts: np.ndarray) -> np.ndarray:
  """Weights whose mean over all examples is 1; absent classes get 0."""
  present = counts > 0
  share = counts.sum() / present.sum()
  return np.where(present, share / np.maximum(counts, 1), 0).astype(np.float32)


# From the number of examples of each class, int64 [classes], to the weight of
# an example by its class; None: equal weights. `config.loss.class_weights`.
CLASS_WEIGHTS: dict[str, Callable[[np.ndarray], np.ndarray] | None] = {
  'equal': None,
  'balanced': _balanced,
}

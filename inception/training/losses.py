"""The training loss: smoothed cross-entropy of all heads."""

import jax
import jax.numpy as jnp
import ml_collections
import optax

from inception.modules.network import Outputs

Array = jax.Array


def smoothed_cross_entropy(
  logits: Array, targets: Array, smoothing: float
) -> Array:
  """Cross-entropy against (1 - smoothing) * targets + smoothing / classes.

  Inception-v3 paper, section 7.

  Args:
    logits: float32 [batch, classes].
    targets: float32 [batch, classes], probabilities (one-hot for a label).
    smoothing: Probability that is spread evenly over all classes.

  Returns:
    Nats, float32 [batch].
  """
  smoothed = optax.smooth_labels(targets, smoothing)
  return optax.softmax_cross_entropy(logits, smoothed)


def training_loss(
  outputs: Outputs, targets: Array, config: ml_collections.ConfigDict
) -> Array:
  """Mean loss of a batch, including the weighted loss of auxiliary heads.

  Args:
    outputs: Outputs of the network in training.
    targets: float32 [batch, classes], probabilities.
    config: `config.loss`.

  Returns:
    Nats, float32 scalar.
  """
  loss = smoothed_cross_entropy(
    outputs.logits, targets, config.label_smoothing
  ).mean()
  for logits in outputs.aux_logits:
    aux = smoothed_cross_entropy(logits, targets, config.label_smoothing)
    loss += config.aux_weight * jnp.mean(aux)
  return loss

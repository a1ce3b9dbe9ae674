"""The training loss: smoothed cross-entropy of all heads."""

import jax
import jax.numpy as jnp
import ml_collections
import optax

from inception.modules.network import Outputs

Array = jax.Array


def smoothed_cross_entropy(
  logits: Array, labels: Array, smoothing: float
) -> Array:
  """Cross-entropy against (1 - smoothing) * one-hot + smoothing / classes.

  Inception-v3 paper, section 7.

  Args:
    logits: float32 [batch, classes].
    labels: int32 [batch].
    smoothing: share of the probability that is spread evenly.

  Returns:
    Nats, float32 [batch].
  """
  targets = optax.smooth_labels(
    jax.nn.one_hot(labels, logits.shape[-1]), smoothing
  )
  return optax.softmax_cross_entropy(logits, targets)


def training_loss(
  outputs: Outputs, labels: Array, config: ml_collections.ConfigDict
) -> Array:
  """Mean loss of a batch, the weighted loss of auxiliary heads included.

  Args:
    outputs: of the network in training.
    labels: int32 [batch].
    config: `config.loss`.

  Returns:
    Nats, float32 scalar.
  """
  loss = smoothed_cross_entropy(
    outputs.logits, labels, config.label_smoothing
  ).mean()
  for logits in outputs.aux_logits:
    aux = smoothed_cross_entropy(logits, labels, config.label_smoothing)
    loss += config.aux_weight * jnp.mean(aux)
  return loss

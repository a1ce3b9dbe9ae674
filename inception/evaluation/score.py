"""Computes scores, summed over a batch, from logits, labels and a mask."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from inception.modules.activations import ACTIVATIONS

Array = jax.Array


def masked_sums(
  logits: Array, labels: Array, mask: Array, activation: str = 'softmax'
) -> dict[str, Array]:
  """Returns float32 sums: `examples`, `loss` (nats), `top1` and `top5`.

  Args:
    logits: float32 [batch, classes].
    labels: int32 [batch].
    mask: float32 [batch], 1 for an example, 0 for padding.
    activation: The network's last activation, which determines the loss.
  """
  loss = ACTIVATIONS[activation].cross_entropy(logits, labels)
  rank = label_rank(logits, labels)
  return {
    'examples': jnp.sum(mask),
    # Padding rows may have a NaN or infinite loss.
    'loss': jnp.sum(jnp.where(mask > 0, loss, 0)),
    'top1': jnp.sum((rank < 1) * mask),
    'top5': jnp.sum((rank < 5) * mask),
  }


def right_labels(logits: Array, batch: Mapping[str, Array]) -> Array:
  """Returns the labels to score against, int32 [batch].

  Args:
    logits: float32 [batch, classes].
    batch: `label` int32 [batch], and optionally `right` bool [batch, classes]:
      among these, the class with the largest logit is used.
  """
  if 'right' not in batch:
    return batch['label']
  return jnp.argmax(jnp.where(batch['right'], logits, -jnp.inf), axis=1)


def label_rank(logits: Array, labels: Array) -> Array:
  """Returns int32 [batch]: the number of classes ranked before the label.

  Ties go to the lower class, as in argmax. NaN ranks before everything, so a
  broken network gets no credit.
  """
  own = jnp.take_along_axis(logits, labels[:, None], axis=1)
  lower = jnp.arange(logits.shape[1]) < labels[:, None]
  before = (logits > own) | ((logits == own) & lower) | jnp.isnan(logits)
  return jnp.sum(before, axis=1)

"""Evaluation over a whole split: every example once, sums on the devices."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp
import ml_collections
import optax

from inception.data import device
from inception.modules.network import Inception

Array = jax.Array

AXIS = 'batch'

EvalStep = Callable[[Any, dict[str, Array]], dict[str, Array]]


def make_eval_step(
  model: Inception,
  config: ml_collections.ConfigDict,
  devices: Sequence[jax.Device],
) -> EvalStep:
  """Compiles the evaluation of one batch.

  Args:
    model: the network.
    config: `config.data`.
    devices: local devices.

  Returns:
    A function of {'params', 'batch_stats'} without a device axis and of a batch
    with `image` uint8, `label` int32 and `mask` float32, each [devices, batch,
    ...]. Returns float32 sums over the batch, see `masked_sums`.
  """

  def step(variables: Any, batch: dict[str, Array]) -> dict[str, Array]:
    images = device.normalize(batch['image'], config)
    outputs: Any = model.apply(variables, images)
    sums = masked_sums(outputs.logits, batch['label'], batch['mask'])
    return lax.psum(sums, AXIS)

  return jax.pmap(
    step, axis_name=AXIS, in_axes=(None, 0), out_axes=None, devices=devices
  )


def masked_sums(logits: Array, labels: Array, mask: Array) -> dict[str, Array]:
  """Sums of a batch: `examples`, `loss` (nats), `top1` and `top5` (counts).

  Args:
    logits: float32 [batch, classes].
    labels: int32 [batch].
    mask: float32 [batch], 0 where there is no example.
  """
  loss = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
  rank = label_rank(logits, labels)
  return {
    'examples': jnp.sum(mask),
    # Padding may hold anything, also what gives no finite loss.
    'loss': jnp.sum(jnp.where(mask > 0, loss, 0)),
    'top1': jnp.sum((rank < 1) * mask),
    'top5': jnp.sum((rank < 5) * mask),
  }


def label_rank(logits: Array, labels: Array) -> Array:
  """Returns int32 [batch]: how many classes come before the label.

  Among equal logits the lower class comes first, as in argmax; one that is not
  a number comes before all, so that a broken network gets no credit.
  """
  own = jnp.take_along_axis(logits, labels[:, None], axis=1)
  lower = jnp.arange(logits.shape[1]) < labels[:, None]
  before = (logits > own) | ((logits == own) & lower) | jnp.isnan(logits)
  return jnp.sum(before, axis=1)


def evaluate(
  eval_step: EvalStep, variables: Any, batches: Iterable[dict[str, Array]]
) -> dict[str, float]:
  """Evaluates a split.

  Args:
    eval_step: of `make_eval_step`.
    variables: {'params', 'batch_stats'}.
    batches: of the whole split, on the devices.

  Returns:
    `examples`, a count; `loss`, mean nats; `top1` and `top5`, fractions.
  """
  sums: list[dict[str, Array]] = []
  for batch in batches:
    sums.append(eval_step(variables, batch))
    # Two batches in flight keep the devices busy and their memory bounded.
    jax.block_until_ready(sums[-2:-1])
  fetched = jax.device_get(sums)
  total = {name: sum(float(s[name]) for s in fetched) for name in fetched[0]}
  examples = total.pop('examples')
  means = {name: value / examples for name, value in total.items()}
  return {'examples': round(examples), **means}


def report(results: dict[str, Any]) -> str:
  """Returns a table of one row with a heading, for a person to read."""
  rows = [
    ('step', f'{results["step"]}'),
    ('split', results['split']),
    ('examples', f'{results["examples"]}'),
    ('loss', f'{results["loss"]:.4f}'),
    ('top-1', f'{results["top1"]:.2%}'),
    ('top-5', f'{results["top5"]:.2%}'),
  ]
  widths = [max(len(name), len(value)) for name, value in rows]
  lines = (
    '  '.join(row[i].rjust(width) for row, width in zip(rows, widths))
    for i in range(2)
  )
  return '\n'.join(lines)

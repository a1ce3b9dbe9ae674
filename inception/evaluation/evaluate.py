"""Evaluation of a whole split: every example once, summed on the devices."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
from jax import lax

from inception.errors import UserError
from inception.evaluation import score
from inception.predict.predictor import Predictor
from inception.processes.device_program import DeviceProgram
from inception.processes.distributed import AXIS

Array = jax.Array

EvalStep = Callable[[Any, dict[str, Array]], dict[str, Array]]


def make_eval_step(
  predictor: Predictor,
  devices: Sequence[jax.Device],
  activation: str = 'softmax',
) -> EvalStep:
  """Makes the evaluation step for one batch.

  Args:
    predictor: Maps variables and uint8 images to logits.
    devices: Devices of all processes.
    activation: The network's last activation.

  Returns:
    A function of the predictor's variables, without a device axis, and of a
    batch with `image` uint8, `label` int32 and `mask` float32, each [local
    devices, batch, ...]; if it has `right` bool [..., classes], each of these
    classes is correct. It returns `score.masked_sums` over the whole batch.
  """
  return eval_program(predictor, activation).pmap(devices)


def eval_program(
  predictor: Predictor, activation: str = 'softmax'
) -> DeviceProgram:
  """Returns the evaluation as a program of (variables, batch)."""

  def step(variables: Any, batch: dict[str, Array]) -> dict[str, Array]:
    logits = predictor(variables, batch['image'])
    labels = score.right_labels(logits, batch)
    sums = score.masked_sums(logits, labels, batch['mask'], activation)
    return lax.psum(sums, AXIS)

  return DeviceProgram(step, split=(False, True), options=predictor.options)


def evaluate(
  eval_step: EvalStep, variables: Any, batches: Iterable[dict[str, Array]]
) -> dict[str, float]:
  """Evaluates the batches of a split, which are already on the devices.

  Returns:
    `examples`, a count; `loss`, mean nats; `top1` and `top5`, fractions.

  Raises:
    UserError: All examples are masked out.
  """
  sums: list[dict[str, Array]] = []
  for batch in batches:
    sums.append(eval_step(variables, batch))
    # Two batches in flight keep the devices busy and bound their memory.
    jax.block_until_ready(sums[-2:-1])
  fetched = jax.device_get(sums)
  total = {name: sum(float(s[name]) for s in fetched) for name in fetched[0]}
  examples = total.pop('examples')
  if not examples:
    raise UserError('no example of the split has one of the given labels')
  means = {name: value / examples for name, value in total.items()}
  return {'examples': round(examples), **means}

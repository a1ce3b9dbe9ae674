"""What an evaluation says about each class, and the worst mistakes."""

import base64
from collections.abc import Callable, Iterable, Sequence
import heapq
import io
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from inception.predict import Predictor

Array = jax.Array

_WORST = 24  # Mistakes that are shown.


def collect(
  predictor: Predictor,
  variables: Any,
  batches: Iterable[dict[str, Array]],
  devices: Sequence[jax.Device],
  class_names: Sequence[str],
  describe: Callable[[int], str],
) -> dict[str, Any]:
  """Evaluates a split again, example by example. In one process only.

  Args:
    predictor: Maps variables and uint8 images to logits.
    variables: The predictor's variables.
    batches: Batches of the whole split, on the devices.
    devices: All devices.
    class_names: A name per logit.
    describe: Maps the index of an example to its name.

  Returns:
    JSON: `classes`, names; `confusion`, counts [label][predicted]; `worst`, the
    most confident mistakes, each with `name`, `label`, `predicted`,
    `probability` and `png`, its picture in base64.
  """

  def step(variables: Any, images: Array) -> tuple[Array, Array]:
    probabilities = jax.nn.softmax(predictor(variables, images))
    return jnp.argmax(probabilities, 1), jnp.max(probabilities, 1)

  run = jax.pmap(step, in_axes=(None, 0), devices=devices)
  confusion = np.zeros((len(class_names), len(class_names)), np.int64)
  worst: list[tuple[float, int, int, int, np.ndarray]] = []
  first = 0
  for batch in batches:
    predicted, probability = jax.device_get(run(variables, batch['image']))
    host = jax.device_get(batch)
    rows = {
      name: value.reshape(-1, *value.shape[2:]) for name, value in host.items()
    }
    count = int(rows['mask'].sum())  # Padding comes last.
    labels = rows['label'][:count]
    predicted = predicted.reshape(-1)[:count]
    np.add.at(confusion, (labels, predicted), 1)
    for row in np.flatnonzero(labels != predicted):
      entry = (
        float(probability.reshape(-1)[row]),
        -(first + int(row)),  # Of equal ones, the first.
        int(labels[row]),
        int(predicted[row]),
        rows['image'][row],
      )
      (heapq.heappush if len(worst) < _WORST else heapq.heappushpop)(
        worst, entry
      )
    first += count
  return {
    'classes': list(class_names),
    'confusion': confusion.tolist(),
    'worst': [
      {
        'name': describe(-index),
        'label': class_names[label],
        'predicted': class_names[guess],
        'probability': probability,
        'png': _png(image),
      }
      for probability, index, label, guess, image in sorted(
        worst, key=lambda entry: entry[:2], reverse=True
      )
    ],
  }


def _png(image: np.ndarray) -> str:
  buffer = io.BytesIO()
  Image.fromarray(image).save(buffer, 'PNG')
  return base64.b64encode(buffer.getvalue()).decode()

"""Details of an evaluation: confusions, calibration, the worst mistakes."""

import base64
from collections.abc import Callable, Iterable, Sequence
import io
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from inception.evaluation import score
from inception.modules.activations import ACTIVATIONS
from inception.predict.predictor import Predictor
from inception.processes.device_program import pmap

Array = jax.Array

_WORST = 24  # Mistakes to show.
BINS = 15  # Of confidence.

# Probability, index of the example, label, prediction, picture.
Mistake = tuple[float, int, int, int, np.ndarray]


def collect(
  predictor: Predictor,
  variables: Any,
  batches: Iterable[dict[str, Array]],
  devices: Sequence[jax.Device],
  class_names: Sequence[str],
  describe: Callable[[int], str],
  activation: str = 'softmax',
) -> dict[str, Any]:
  """Evaluates a split again, example by example; single process only.

  The batches are on the devices. `describe` maps the index of an example to its
  name.

  Returns:
    JSON: `classes`, names; `confusion`, counts [label][predicted]; `bins`, see
    `reliability`; `worst`, the most confident mistakes, each with `name`,
    `label`, `predicted`, `probability` and `png`, its picture in base64.
  """
  run = _make_step(predictor, devices, activation)
  confusion = np.zeros((len(class_names), len(class_names)), np.int64)
  bins = np.zeros((BINS, 3))
  worst: list[Mistake] = []
  first = 0
  for batch in batches:
    answers = {**run(variables, batch), 'image': _pictures(batch['image'])}
    rows = {
      name: value.reshape(-1, *value.shape[2:])
      for name, value in jax.device_get(answers).items()
    }
    counted = np.flatnonzero(rows['mask'])
    labels, predicted = rows['label'][counted], rows['predicted'][counted]
    right = labels == predicted
    np.add.at(confusion, (labels, predicted), 1)
    bins += reliability(rows['probability'][counted], right)
    worst = _merge(worst, first, rows, counted[~right])
    first += len(rows['mask'])
  return {
    'classes': list(class_names),
    'confusion': confusion.tolist(),
    'bins': bins.tolist(),
    'worst': [_mistake(entry, class_names, describe) for entry in worst],
  }


def _merge(
  worst: list[Mistake],
  first: int,
  rows: dict[str, np.ndarray],
  wrong: np.ndarray,
) -> list[Mistake]:
  """Merges the mistakes of a batch into the worst ones so far."""
  found = [
    (
      float(rows['probability'][row]),
      first + int(row),
      int(rows['label'][row]),
      int(rows['predicted'][row]),
      rows['image'][row].copy(),  # A view would keep the batch alive.
    )
    for row in wrong
  ]
  # Sorting is stable: earlier examples win ties.
  return sorted(worst + found, key=lambda m: m[0], reverse=True)[:_WORST]


def _mistake(
  entry: Mistake, class_names: Sequence[str], describe: Callable[[int], str]
) -> dict[str, Any]:
  probability, index, label, predicted, image = entry
  return {
    'name': describe(index),
    'label': class_names[label],
    'predicted': class_names[predicted],
    'probability': probability,
    'png': _png(image),
  }


def reliability(probability: np.ndarray, right: np.ndarray) -> np.ndarray:
  """Returns how often predictions of each confidence are right.

  Guo et al., 2017, "On calibration of modern neural networks", section 2.

  Args:
    probability: Probability of the predicted class, [examples].
    right: True where the prediction is right, bool [examples].

  Returns:
    float64 [bins, 3]: for `BINS` equal ranges of probability the number of
    examples, the sum of their probabilities, and the number that are right.
    Non-finite probabilities are not counted.
  """
  finite = np.isfinite(probability)
  probability, right = probability[finite], right[finite]
  places = np.minimum((probability * BINS).astype(int), BINS - 1)
  return np.stack(
    [
      np.bincount(places, weights, BINS)
      for weights in (np.ones(len(places)), probability, right)
    ],
    axis=1,
  )


def _make_step(
  predictor: Predictor, devices: Sequence[jax.Device], activation: str
) -> Any:
  def step(variables: Any, batch: dict[str, Array]) -> dict[str, Array]:
    logits = predictor(variables, batch['image'])
    probabilities = ACTIVATIONS[activation].probabilities(logits)
    return {
      'label': score.right_labels(logits, batch),
      'mask': batch['mask'],
      'predicted': jnp.argmax(probabilities, 1),
      'probability': jnp.max(probabilities, 1),
    }

  return pmap(step, predictor.options, in_axes=(None, 0), devices=devices)


def _pictures(images: Any) -> Array:
  """Returns one square per example, as the first network sees it."""
  if isinstance(images, tuple):
    images = images[0]
  return images[:, :, -1] if images.ndim == 6 else images


def _png(image: np.ndarray) -> str:
  buffer = io.BytesIO()
  Image.fromarray(image).save(buffer, 'PNG')
  return base64.b64encode(buffer.getvalue()).decode()

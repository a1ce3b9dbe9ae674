"""Inference tasks: classes, features and explanations of images.

Each function here takes a network and its `config.data`. It returns a function
of variables and uint8 images [batch, squares, height, width, 3], or [batch,
height, width, 3] for one square.
"""

from typing import Any

import jax
import jax.numpy as jnp
import ml_collections

from inception.data.device import feed
from inception.errors import UserError
from inception.predict.explain import make_explainer
from inception.predict.predictor import (
  Model,
  average_crops,
  make_predictor,
  top_classes,
)
from inception.quantization.int8 import QuantizedNetwork

Array = jax.Array

# Keeps all-zero features at zero.
_SMALLEST_NORM = 1e-12


def classify(
  model: Model, data: ml_collections.ConfigDict, top: int, crops: int
) -> Any:
  """Returns a function that computes the result of `top_classes`.

  It takes `CROPS[crops]` squares per image.

  Raises:
    UserError: The network has no classifier.
  """
  _check_classifier(model)
  predict = make_predictor(model, data)
  if crops > 1:
    predict = average_crops(predict, model.activation)
  return lambda variables, images: top_classes(
    predict(variables, images), top, model.activation
  )


def extract(
  model: Model, data: ml_collections.ConfigDict, endpoint: str, normalize: bool
) -> Any:
  """Returns a function that computes a stage's output, float32 [batch, ...].

  Args:
    model: The network.
    data: `config.data`.
    endpoint: Name of a stage, or 'PreLogits'.
    normalize: Divide the features of each image by their L2 norm.

  Raises:
    UserError: There is no such stage.
  """
  names = [stage.name for stage in model.architecture.stages] + ['PreLogits']
  if endpoint not in names:
    raise UserError(
      f'no endpoint {endpoint!r}; choose one of {", ".join(names)}'
    )

  def extract_features(variables: Any, images: Array) -> Array:
    normalized = feed.normalize(images, data)
    outputs: Any = model.apply(variables, normalized, endpoints=True)
    x = outputs.endpoints[endpoint].astype(jnp.float32)
    if normalize:
      axes = tuple(range(1, x.ndim))
      norm = jnp.sqrt(jnp.sum(x**2, axes, keepdims=True))
      x = x / jnp.maximum(norm, _SMALLEST_NORM)
    return x

  return extract_features


def explain(model: Model, data: ml_collections.ConfigDict, top: int) -> Any:
  """Returns a function that combines `top_classes` and `make_explainer`.

  Raises:
    UserError: The network has no classifier, or is in int8.
  """
  _check_classifier(model)
  if isinstance(model, QuantizedNetwork):
    raise UserError(
      'an int8 network has no gradients, which explanations need; explain the'
      ' original float network'
    )
  explain_images = make_explainer(model, data)

  def explain_top(variables: Any, images: Array) -> dict[str, Array]:
    results = explain_images(variables, images)
    logits = results.pop('logits')
    return {**top_classes(logits, top, model.activation), **results}

  return explain_top


def _check_classifier(model: Model) -> None:
  if not model.num_classes:
    raise UserError(
      'the network has no classifier, only features; use features() or'
      ' --endpoint, or train a classifier with --config.pretrained'
    )

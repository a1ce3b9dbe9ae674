"""Predictors: functions from images to logits, which evaluation scores."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections

from inception.data import device
from inception.modules.network import Network, create_model

Array = jax.Array

# Maps (variables, uint8 images [batch, height, width, 3]) to float32 logits
# [batch, num_classes]. Evaluation scores any predictor.
Predictor = Callable[[Any, Array], Array]


def make_predictor(
  model: Network, data: ml_collections.ConfigDict
) -> Predictor:
  """Makes the predictor of one network and one crop.

  Args:
    model: The network.
    data: `config.data`: the mean, deviation and channel order it expects.
  """

  def predict(variables: Any, images: Array) -> Array:
    outputs: Any = model.apply(variables, device.normalize(images, data))
    return outputs.logits

  return predict


def average_crops(predict: Predictor) -> Predictor:
  """Makes a predictor of several squares per image, and their mirror images.

  GoogLeNet paper, section 7: probabilities are averaged over all.

  Args:
    predict: The predictor of one square.

  Returns:
    A predictor of uint8 images [batch, squares, height, width, 3], whose logits
    are the logarithms of the mean probabilities.
  """

  def predict_all(variables: Any, images: Array) -> Array:
    batch, squares, *shape = images.shape
    flat = images.reshape(batch * squares, *shape)
    both = jnp.concatenate([flat, flat[:, :, ::-1]])
    probabilities = jax.nn.softmax(predict(variables, both))
    by_image = probabilities.reshape(2, batch, squares, -1)
    return jnp.log(jnp.mean(by_image, axis=(0, 2)))

  return predict_all


def model_from_config(
  config: ml_collections.ConfigDict, axis_name: str | None = None
) -> Network:
  """Makes the network that a whole config describes.

  Args:
    config: A config with `model.num_classes` set.
    axis_name: pmap axis that a training batch is split over, or None.
  """
  return create_model(
    **config.model,
    precision=config.precision,
    freeze_through=config.freeze_through,
    axis_name=axis_name,
  )

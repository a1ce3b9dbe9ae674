"""Functions from images to logits, which evaluation scores."""

from collections.abc import Callable
import dataclasses
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp
import ml_collections

from inception import paths
from inception.data.device import feed
from inception.errors import UserError
from inception.modules import compiler_options
from inception.modules.activations import ACTIVATIONS
from inception.modules.network import Network
from inception.quantization.int8 import QuantizedNetwork

Array = jax.Array

Model = Network | QuantizedNetwork


@dataclasses.dataclass(frozen=True, eq=False)
class Predictor:
  """A function from images to logits; evaluation scores any predictor.

  Attributes:
    function: Maps variables and uint8 images [batch, height, width, 3] to
      float32 logits [batch, num_classes].
    options: Of the compiler, for programs that run it.
  """

  function: Callable[[Any, Array], Array]
  options: dict[str, Any] = dataclasses.field(default_factory=dict)

  def __call__(self, variables: Any, images: Array) -> Array:
    """Returns the logits of images."""
    return self.function(variables, images)

  def then(self, function: Callable[[Any, Array], Array]) -> 'Predictor':
    """Returns a predictor that a function makes of this one."""
    return dataclasses.replace(self, function=function)


# Squares per image, by number of crops. With several crops, each square is also
# mirrored. See data/pixels/multi_crop.py.
CROPS = {1: 1, 10: 5, 12: 6, 144: 72}

# Squares of each image that are computed at a time.
_GROUP = 6


def make_predictor(model: Model, data: ml_collections.ConfigDict) -> Predictor:
  """Makes a single-crop predictor; `data` is the network's `config.data`."""

  def predict(variables: Any, images: Array) -> Array:
    outputs: Any = model.apply(variables, feed.normalize(images, data))
    return outputs.logits

  return Predictor(predict, options_of(model, data))


def options_of(model: Model, data: ml_collections.ConfigDict) -> dict[str, Any]:
  """Returns the compiler's options for programs that run a network."""
  integers = isinstance(model, QuantizedNetwork)
  return compiler_options.for_network(
    model.architecture, data.image_size, integers
  )


def average_crops(predict: Predictor, activation: str = 'softmax') -> Predictor:
  """Makes a predictor that averages several squares and their mirror images.

  GoogLeNet paper, section 7. The predictor takes uint8 images [batch, squares,
  height, width, 3] and returns the logits of the mean probabilities. A few
  squares are computed at a time.
  """
  last = ACTIVATIONS[activation]

  def predict_all(variables: Any, images: Array) -> Array:
    batch, squares, *shape = images.shape
    group = max(n for n in range(1, _GROUP + 1) if squares % n == 0)

    def sum_of(part: Array) -> Array:
      flat = part.reshape(group * batch, *shape)
      both = jnp.concatenate([flat, flat[:, :, ::-1]])
      probabilities = last.probabilities(predict(variables, both))
      return jnp.sum(probabilities.reshape(2 * group, batch, -1), axis=0)

    parts = jnp.moveaxis(images, 1, 0)
    parts = parts.reshape(squares // group, group, batch, *shape)
    total = jnp.sum(lax.map(sum_of, parts), axis=0)
    return last.logits(total / (2 * squares))

  return predict.then(predict_all)


def top_classes(
  logits: Array, top: int, activation: str = 'softmax'
) -> dict[str, Array]:
  """Returns `probability` float32 and `label` int32 [batch, top], descending.

  Labels are -1 for images whose logits [batch, num_classes] are not all finite.
  """
  probabilities = ACTIVATIONS[activation].probabilities(logits)
  values, labels = lax.top_k(probabilities, min(top, logits.shape[1]))
  good = jnp.all(jnp.isfinite(probabilities), axis=1, keepdims=True)
  return {
    'probability': jnp.where(good, values, jnp.nan),
    'label': jnp.where(good, labels, -1),
  }


def choose_precision(
  folder: paths.PathLike, stored: str, wanted: str | None
) -> str:
  """Returns the precision in which to run the weights of a folder.

  Args:
    folder: The folder, for messages.
    stored: Precision in the config of the weights: of training, or 'int8'.
    wanted: A precision, or None: float32, or int8 for int8 weights.

  Raises:
    UserError: The weights are int8 and `wanted` is not, or vice versa.
  """
  if (stored == 'int8') == (wanted == 'int8') or wanted is None:
    return wanted or ('int8' if stored == 'int8' else 'float32')
  if stored == 'int8':
    raise UserError(
      f'{folder} is quantized: it runs only in int8, not in {wanted}'
    )
  raise UserError(
    f'{folder} is not quantized; for int8, run python -m inception.quantization'
    f' --workdir={folder} --output=DIR'
  )

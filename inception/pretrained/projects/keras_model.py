"""Reads the input and output of a Keras model from its config.

Layers in front of the first convolution are preprocessing. They are reduced to
one mean and one standard deviation per channel; other layers are refused.
"""

from collections.abc import Iterator, Mapping
import dataclasses
import itertools
from typing import Any

import numpy as np

from inception.pretrained.formats.content import Statement
from inception.pretrained.tensors import Arrays

Config = Mapping[str, Any]

_MODELS = ('Functional', 'Model', 'Sequential')
_INPUT = 'InputLayer'
_NORMALIZATION = 'Normalization'
_CONVOLUTIONS = ('Conv2D', 'SeparableConv2D', 'DepthwiseConv2D')

# Layers that change nothing outside of training.
_ONLY_IN_TRAINING = (
  *('ActivityRegularization', 'Cast', 'cast', 'Dropout', 'GaussianDropout'),
  *('GaussianNoise', 'Identity', 'RandomBrightness'),
  *('RandomColorDegeneration', 'RandomColorJitter', 'RandomContrast'),
  *('RandomErasing', 'RandomFlip', 'RandomGrayscale', 'RandomHue'),
  *('RandomPerspective', 'RandomRotation', 'RandomSaturation'),
  *('RandomSharpness', 'RandomShear', 'RandomTranslation', 'RandomZoom'),
  'SpatialDropout2D',
)
# Layers that average the last grid for the classifier.
_AVERAGES = ('AveragePooling2D', 'Flatten', 'GlobalAveragePooling2D', 'Reshape')

# Arithmetic between images and a constant, in Keras 3 and in tf.keras 2.
_OPERATIONS = {
  'Add': np.add,
  'Divide': np.divide,
  'Multiply': np.multiply,
  'Subtract': np.subtract,
  'TrueDivide': np.divide,
  '__operators__.add': np.add,
  'math.add': np.add,
  'math.divide': np.divide,
  'math.multiply': np.multiply,
  'math.subtract': np.subtract,
  'math.truediv': np.divide,
}

# The last activation by its name in Keras.
_ACTIVATIONS = {
  'linear': None,
  'softmax': 'softmax',
  'Softmax': 'softmax',
  'sigmoid': 'sigmoid',
  'Sigmoid': 'sigmoid',
}


@dataclasses.dataclass(frozen=True)
class _Layer:
  """A layer or operation of a model, or of a model nested in it."""

  kind: str
  name: str
  config: Config
  nodes: Any

  def __str__(self) -> str:
    return f'{self.name} ({self.kind})'


def normalization_layers(model: Config) -> set[str]:
  """Returns the names of the layers whose arrays are statistics of pixels."""
  return {x.name for x in _layers(model) if x.kind == _NORMALIZATION}


def other_pooling(model: Config) -> str | None:
  """Returns the kind of a layer that replaces or alters mean pooling, or None.

  Our classifiers read the mean of the last grid. A maximum, or a normalized
  mean, has the same shape, so shapes cannot reveal it.
  """
  grids = (*_CONVOLUTIONS, 'Concatenate', 'BatchNormalization')
  known = (*_AVERAGES, *_ONLY_IN_TRAINING, 'Activation', 'ReLU', _INPUT)
  other = None
  for layer in _layers(model):
    if layer.kind == 'Dense':
      break
    if layer.kind in grids:
      other = None
    elif layer.kind not in known:
      other = other or layer.kind
  return other


def read_statement(model: Config, arrays: Arrays) -> Statement:
  """Reads what a model says about its input and output.

  Args:
    model: The config.
    arrays: Arrays by `<layer>/<index in the layer>`, including those of
      `normalization_layers`.

  Raises:
    ValueError: A layer in front of the network, or its last activation, cannot
      be recorded; names it.
  """
  layers = list(_layers(model))
  mean, std = _normalization(layers, arrays)
  return Statement(_image_size(layers), mean, std, _activation(layers))


def _layers(model: Config) -> Iterator[_Layer]:
  """Yields the layers of a model and of its nested models, in order."""
  for layer in model.get('config', {}).get('layers', ()):
    kind, config = layer['class_name'].rpartition('>')[2], layer['config']
    if kind in _MODELS:
      yield from _layers(layer)
      continue
    if kind == 'TFOpLambda':
      kind = config['function']
    name = layer.get('name') or config['name']
    yield _Layer(kind, name, config, layer.get('inbound_nodes') or [])


def _image_size(layers: list[_Layer]) -> int | None:
  shapes = [
    layer.config.get('batch_shape') or layer.config.get('batch_input_shape')
    for layer in layers
  ]
  height, width = next((s[1:3] for s in shapes if s and len(s) == 4), (0, 0))
  if height != width:
    raise ValueError(
      f'its images are {height} x {width} pixels, but only square images'
      ' are supported; rebuild the model with a square input'
    )
  return height or None


def _normalization(
  layers: list[_Layer], arrays: Arrays
) -> tuple[Any, Any] | tuple[None, None]:
  """Returns the mean and standard deviation that the first layers apply."""
  front = list(
    itertools.takewhile(lambda x: x.kind not in _CONVOLUTIONS, layers)
  )
  known = (_INPUT, *_ONLY_IN_TRAINING)
  scalings = [layer for layer in front if layer.kind not in known]
  if not scalings or len(front) == len(layers):
    return None, None  # Without a convolution, it is not an image model.
  # Pixels of 0 and of 1 in each channel determine an affine function.
  pixels = np.array([[0.0] * 3, [1.0] * 3])
  for layer in scalings:
    pixels = np.broadcast_to(_apply(layer, pixels, arrays), (2, 3))
  offset, scale = pixels[0], pixels[1] - pixels[0]
  if not (np.isfinite(pixels).all() and (scale > 0).all()):
    raise ValueError(
      f'{scalings[-1]} in front of the network is not a scaling by positive'
      ' numbers'
    )
  return _channels(-offset / scale), _channels(1 / scale)


def _channels(numbers: np.ndarray) -> Any:
  """Returns three numbers without float64 rounding errors and without -0."""
  return tuple(float(f'{number:.10g}') + 0.0 for number in numbers)


def _apply(layer: _Layer, pixels: np.ndarray, arrays: Arrays) -> Any:
  """Applies a layer in front of the network to pixels [n, 3]."""
  config = layer.config
  if layer.kind == 'Rescaling':
    return pixels * np.asarray(config['scale']) + np.asarray(config['offset'])
  if layer.kind == _NORMALIZATION and not config.get('invert'):
    mean, variance = config.get('mean'), config.get('variance')
    if mean is None:
      mean, variance = arrays[f'{layer.name}/0'], arrays[f'{layer.name}/1']
    variance = np.asarray(variance, np.float64).ravel()
    deviation = np.maximum(np.sqrt(variance), 1e-7)  # As Keras does.
    return (pixels - np.asarray(mean, np.float64).ravel()) / deviation
  constant = _constant(layer.nodes)
  if layer.kind in _OPERATIONS and constant is not None:
    return _OPERATIONS[layer.kind](pixels, constant)
  raise ValueError(
    f'{layer} in front of the network does more than scale pixels and cannot be'
    ' recorded; save the model without it'
  )


def _constant(nodes: Any) -> Any:
  """Returns the constant that images are combined with, or None.

  Keras 3 has [{'args': [images, 127.5], 'kwargs': {}}], and tf.keras 2
  [['name', 0, 0, {'y': 127.5}]].
  """
  match nodes:
    case [{'args': [dict(), constant]}]:
      pass
    case [[str(), _, _, {'y': constant}]]:
      pass
    case _:
      return None
  numbers = isinstance(constant, list) and len(constant) == 3
  return constant if numbers or isinstance(constant, int | float) else None


def _activation(layers: list[_Layer]) -> str | None:
  """Returns the last activation; None without exactly one dense layer."""
  dense = [i for i, layer in enumerate(layers) if layer.kind == 'Dense']
  if len(dense) != 1:
    return None
  names = [layers[dense[0]].config.get('activation', 'linear')]
  for layer in layers[dense[0] + 1 :]:
    if layer.kind == 'Activation':
      names.append(layer.config.get('activation'))
    elif layer.kind not in _ONLY_IN_TRAINING:
      names.append(layer.kind)
  found = [name for name in names if name != 'linear'] or ['linear']
  if len(found) > 1 or found[0] not in _ACTIVATIONS:
    raise ValueError(
      f'its classifier ends in {" and ".join(map(str, found))}; only'
      ' softmax, sigmoid and linear can be recorded'
    )
  return _ACTIVATIONS[found[0]]

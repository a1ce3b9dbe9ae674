"""TF-slim: names of the variables in its checkpoints.

Its memory layouts match ours, and our names are derived from its names; this
file holds the exceptions.
"""

from collections.abc import Container, Iterable, Iterator
import dataclasses
import functools
import re

import numpy as np

from inception import architectures
from inception.pretrained.tensors import (
  NetworkLayers,
  Project,
  PublishedNetwork,
  Shape,
  Tensor,
)
from inception.spec.layers import Dense, Layer

_AVERAGE = '/ExponentialMovingAverage'

_COUNTER = re.compile(r'global_step|beta\d_power')

# Our name of a vector, and slim's.
_VECTORS = {
  'bias': 'biases',
  'BatchNorm/bias': 'BatchNorm/beta',
  'BatchNorm/mean': 'BatchNorm/moving_mean',
  'BatchNorm/var': 'BatchNorm/moving_variance',
}

# Our scope as a regular expression, and slim's scope.
_RENAMES = {
  'inception_v1_slim': {
    r'(Mixed_5b/Branch_2)/Conv2d_0b_3x3': r'\1/Conv2d_0a_3x3',
    r'Logits/Logits': 'Logits/Conv2d_0c_1x1',
  },
  'inception_v2_slim': {
    r'Logits/Logits': 'Logits/Conv2d_1c_1x1',
  },
  'inception_v3': {
    r'(Mixed_5c/Branch_1)/Conv2d_0a_1x1': r'\1/Conv2d_0b_1x1',
    r'(Mixed_5c/Branch_1)/Conv2d_0b_5x5': r'\1/Conv_1_0c_5x5',
    r'(Mixed_6a/Branch_.)/Conv2d_1a_3x3': r'\1/Conv2d_1a_1x1',
    r'(Mixed_7b/Branch_1)/Conv2d_0c_3x1': r'\1/Conv2d_0b_3x1',
    r'AuxLogits/Conv2d_0a_1x1': 'AuxLogits/Conv2d_1b_1x1',
    r'AuxLogits/Conv2d_0b_5x5': 'AuxLogits/Conv2d_2a_5x5',
    r'AuxLogits/Logits': 'AuxLogits/Conv2d_2b_1x1',
    r'Logits/Logits': 'Logits/Conv2d_1c_1x1',
  },
  'inception_v4': {
    r'(Mixed_3a/Branch_1)/Conv2d_1a_3x3': r'\1/Conv2d_0a_3x3',
    r'(Mixed_4a/Branch_.)/Conv2d_0[bd]_3x3': r'\1/Conv2d_1a_3x3',
    r'AuxLogits/Conv2d_0a_1x1': 'AuxLogits/Conv2d_1b_1x1',
    r'AuxLogits/Conv2d_0b_5x5': 'AuxLogits/Conv2d_2a',
    r'AuxLogits/Logits': 'AuxLogits/Aux_logits',
  },
  'inception_resnet_v2': {
    r'((?:Mixed_5b|Repeat.*|Block8)/Branch_0)/Conv2d_0a_1x1': r'\1/Conv2d_1x1',
    r'AuxLogits/Conv2d_0a_1x1': 'AuxLogits/Conv2d_1b_1x1',
    r'AuxLogits/Conv2d_0b_5x5': 'AuxLogits/Conv2d_2a_5x5',
  },
}

_ROOTS = {
  'inception_v1_slim': 'InceptionV1',
  'inception_v2_slim': 'InceptionV2',
  'inception_v3': 'InceptionV3',
  'inception_v4': 'InceptionV4',
  'inception_resnet_v2': 'InceptionResnetV2',
}

# Networks whose classifiers are 1x1 convolutions.
_CONVOLUTIONAL = ('inception_v1_slim', 'inception_v2_slim', 'inception_v3')


def _name_tensors(
  architecture: str, layers: NetworkLayers, names: Iterable[str]
) -> list[Tensor]:
  """Returns all tensors of a network, averaged copies where there are any."""
  averaged = {
    name.removesuffix(_AVERAGE) for name in names if name.endswith(_AVERAGE)
  }
  aux = (layer for head in layers.aux for layer in head)
  tensors = []
  for layer in (*layers.trunk, *layers.head, *aux):
    for tensor in _layer(architecture, layer):
      if tensor.name in averaged:
        name = tensor.name + _AVERAGE
        tensor = dataclasses.replace(tensor, name=name)
      tensors.append(tensor)
  return tensors


def _is_not_a_weight(name: str, names: Container[str]) -> bool:
  """True for a variable of the optimizer or of the training loop.

  An optimizer's variable has the name of its weight as a prefix. Also True
  for a weight that has an averaged copy, which is used instead.
  """
  if name.endswith(_AVERAGE):
    return False
  if name + _AVERAGE in names:
    return True
  owner = name.rpartition('/')[0]
  return owner in names or bool(_COUNTER.fullmatch(name))


def _layer(architecture: str, layer: Layer) -> Iterator[Tensor]:
  scope = layer.scope
  for pattern, replacement in _RENAMES[architecture].items():
    scope, count = re.subn(f'^{pattern}$', replacement, scope)
    if count:
      break
  collections = {
    'params': layer.parameters(batch_norm_scale=False),
    'batch_stats': layer.statistics,
  }
  for collection, shapes in collections.items():
    for name, shape in shapes.items():
      theirs, their_shape = _variable(architecture, layer, name, shape)
      yield Tensor(
        f'{_ROOTS[architecture]}/{scope}/{theirs}',
        their_shape,
        f'{collection}/{layer.scope}/{name}',
        functools.partial(np.reshape, shape=shape),
      )


def _variable(
  architecture: str, layer: Layer, name: str, shape: Shape
) -> tuple[str, Shape]:
  """Returns slim's name and shape of a variable, given ours."""
  if name in _VECTORS:
    return _VECTORS[name], shape
  if name == 'depthwise_kernel':
    # Ours is [height, width, 1, in * multiplier].
    height, width, _, inner = shape
    channels = layer.input[2]
    return 'depthwise_weights', (height, width, channels, inner // channels)
  if 'depthwise_kernel' in layer.weights:
    return 'pointwise_weights', shape
  if isinstance(layer.operation, Dense) and architecture in _CONVOLUTIONAL:
    return 'weights', (1, 1, *shape)
  return 'weights', shape


def _network(architecture: str) -> PublishedNetwork:
  root = _ROOTS[architecture]
  has_aux = bool(architectures.get_architecture(architecture).aux_heads)
  scope = _RENAMES[architecture].get('Logits/Logits', 'Logits/Logits')
  return PublishedNetwork(
    functools.partial(_name_tensors, architecture),
    find_classifier=lambda _: f'{root}/{scope}/biases',
    is_of_head=lambda name: name.startswith(f'{root}/Logits/'),
    aux_prefixes=(f'{root}/AuxLogits/',) if has_aux else (),
  )


SLIM = Project(
  networks={architecture: _network(architecture) for architecture in _ROOTS},
  batch_norm_scale=False,
  ignores=_is_not_a_weight,
)

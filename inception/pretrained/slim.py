"""TF-slim: names of variables in its checkpoints.

Its arrays lie as ours do, and its names are the ones that ours come from; here
is where they depart from the pattern.
"""

from collections.abc import Container, Iterable
import functools
import re

import numpy as np

from inception.architectures.layer import Dense, Layer
from inception.pretrained.tensors import (
  NetworkLayers,
  Project,
  Shape,
  Tensor,
)

_AVERAGE = '/ExponentialMovingAverage'

_COUNTER = re.compile(r'global_step|beta\d_power')

_STATISTICS = {
  'BatchNorm/bias': 'BatchNorm/beta',
  'BatchNorm/mean': 'BatchNorm/moving_mean',
  'BatchNorm/var': 'BatchNorm/moving_variance',
}

# Our scope, as a regular expression, to slim's.
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


def name_tensors(
  architecture: str, layers: NetworkLayers, names: Iterable[str]
) -> list[Tensor]:
  """Names all variables of a network; averaged copies where there are any.

  Args:
    architecture: its name here.
    layers: of the network.
    names: all names in the file.
  """
  averaged = {
    name.removesuffix(_AVERAGE) for name in names if name.endswith(_AVERAGE)
  }
  aux = (layer for some in layers.aux.values() for layer in some)
  tensors = []
  for layer in (*layers.trunk, *layers.head, *aux):
    for tensor in _layer(architecture, layer):
      if tensor.name in averaged:
        tensor = Tensor(
          tensor.name + _AVERAGE, tensor.shape, tensor.path, tensor.convert
        )
      tensors.append(tensor)
  return tensors


def is_no_weight(name: str, names: Container[str]) -> bool:
  """Whether a variable is the optimizer's or the training loop's.

  The optimizer's are named after the variable that they belong to.

  A variable that has an averaged copy is none either: the copy is used.

  Args:
    name: of the variable.
    names: all names in the file.
  """
  if name.endswith(_AVERAGE):
    return False
  if name + _AVERAGE in names:
    return True
  owner = name.rpartition('/')[0]
  return owner in names or bool(_COUNTER.fullmatch(name))


def _layer(architecture: str, layer: Layer) -> list[Tensor]:
  scope = layer.scope
  for pattern, replacement in _RENAMES[architecture].items():
    scope, count = re.subn(f'^{pattern}$', replacement, scope)
    if count:
      break
  root = f'{_ROOTS[architecture]}/{scope}'
  tensors = []
  for name, shape in layer.parameters(batch_norm_scale=False).items():
    path = f'params/{layer.scope}/{name}'
    tensors.append(_parameter(architecture, layer, root, name, shape, path))
  for name, shape in layer.statistics.items():
    path = f'batch_stats/{layer.scope}/{name}'
    tensors.append(Tensor(f'{root}/{_STATISTICS[name]}', shape, path))
  return tensors


def _parameter(
  architecture: str,
  layer: Layer,
  root: str,
  name: str,
  shape: Shape,
  path: str,
) -> Tensor:
  if name == 'bias':
    return Tensor(f'{root}/biases', shape, path)
  if name in _STATISTICS:
    return Tensor(f'{root}/{_STATISTICS[name]}', shape, path)

  def reshape(x: np.ndarray) -> np.ndarray:
    return x.reshape(shape)

  if name == 'depthwise_kernel':
    # [height, width, in, multiplier] to [height, width, 1, in * multiplier].
    height, width, _, inner = shape
    channels = layer.input[2]
    theirs: Shape = (height, width, channels, inner // channels)
    return Tensor(f'{root}/depthwise_weights', theirs, path, reshape)
  if 'depthwise_kernel' in layer.weights:
    return Tensor(f'{root}/pointwise_weights', shape, path)
  if isinstance(layer.operation, Dense) and architecture in _CONVOLUTIONAL:
    return Tensor(f'{root}/weights', (1, 1, *shape), path, reshape)
  return Tensor(f'{root}/weights', shape, path)


def _classifier(architecture: str) -> str:
  scope = _RENAMES[architecture].get('Logits/Logits', 'Logits/Logits')
  return f'{_ROOTS[architecture]}/{scope}/biases'


SLIM = Project(
  networks={name: functools.partial(name_tensors, name) for name in _RENAMES},
  classifier={name: _classifier(name) for name in _RENAMES},
  aux_prefix={
    name: f'{_ROOTS[name]}/AuxLogits/'
    for name in ('inception_v3', 'inception_v4', 'inception_resnet_v2')
  },
  batch_norm_scale=False,
  ignore=is_no_weight,
)

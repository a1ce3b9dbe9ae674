"""Keras Applications: InceptionV3 and InceptionResNetV2.

Keras numbers layers without a name of their own as they are made, from wherever
its counter stands: their rank counts, not the number. Arrays lie as ours do.
"""

from collections.abc import Iterable, Iterator
import re

from inception.architectures.layer import Layer
from inception.pretrained.tensors import NetworkLayers, Project, Tensor

_PROJECTION = re.compile(
  r'(?:Repeat(?:_[12])?/(block\d+_\d+)|Block8)/Conv2d_1x1'
)


def name_tensors(layers: NetworkLayers, names: Iterable[str]) -> list[Tensor]:
  """Names all variables of a network: `<layer>/<number of the variable>`.

  Args:
    layers: of the network.
    names: all names in the file.
  """
  found = {name.split('/')[0] for name in names}
  convolutions = _ranked('conv2d', found)
  norms = _ranked('batch_normalization', found)
  tensors = []
  for layer in layers.trunk:
    projection = _PROJECTION.fullmatch(layer.scope)
    if projection:
      # Keras counts the last block among the others of its kind.
      block = projection.group(1) or 'block8_10'
      tensors += _with_bias(layer, f'{block}_conv')
    elif layer.scope == 'Conv2d_7b_1x1':
      tensors += _with_batch_norm(layer, 'conv_7b', 'conv_7b_bn')
    else:
      tensors += _with_batch_norm(layer, next(convolutions), next(norms))
  (classifier,) = layers.head
  return tensors + _with_bias(classifier, 'predictions')


def _ranked(kind: str, names: Iterable[str]) -> Iterator[str]:
  """Yields layers of a kind in the order in which they were made."""
  numbers = sorted(
    int(match.group(1) or 0)
    for name in names
    if (match := re.fullmatch(rf'{kind}(?:_(\d+))?', name))
  )
  for number in numbers:
    yield f'{kind}_{number}' if number else kind
  missing = len(numbers)
  while True:
    missing += 1
    yield f'{kind} number {missing}'


def _with_batch_norm(layer: Layer, convolution: str, norm: str) -> list[Tensor]:
  params, statistics = f'params/{layer.scope}', f'batch_stats/{layer.scope}'
  channels = layer.output[2:]
  return [
    Tensor(f'{convolution}/0', layer.weights['kernel'], f'{params}/kernel'),
    Tensor(f'{norm}/0', channels, f'{params}/BatchNorm/bias'),
    Tensor(f'{norm}/1', channels, f'{statistics}/BatchNorm/mean'),
    Tensor(f'{norm}/2', channels, f'{statistics}/BatchNorm/var'),
  ]


def _with_bias(layer: Layer, name: str) -> list[Tensor]:
  params = f'params/{layer.scope}'
  return [
    Tensor(f'{name}/0', layer.weights['kernel'], f'{params}/kernel'),
    Tensor(f'{name}/1', layer.output[2:], f'{params}/bias'),
  ]


KERAS = Project(
  networks={
    'inception_v3': name_tensors,
    'inception_resnet_v2': name_tensors,
  },
  classifier={
    'inception_v3': 'predictions/1',
    'inception_resnet_v2': 'predictions/1',
  },
  aux_prefix={},
  batch_norm_scale=False,
)

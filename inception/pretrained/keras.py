"""Keras Applications: InceptionV3 and InceptionResNetV2.

Keras numbers unnamed layers in the order of creation, from wherever its counter
stands in the session: their rank matters, not the number. Its memory layouts
are ours.
"""

from collections.abc import Iterable, Iterator
import re

from inception.pretrained.tensors import (
  NetworkLayers,
  Project,
  PublishedNetwork,
  Tensor,
)
from inception.spec.layers import Layer

_PROJECTION = re.compile(
  r'(?:Repeat(?:_[12])?/(block\d+_\d+)|Block8)/Conv2d_1x1'
)


def name_tensors(layers: NetworkLayers, names: Iterable[str]) -> list[Tensor]:
  """Returns all tensors of a network, named `<layer>/<index in the layer>`.

  Args:
    layers: The network's layers.
    names: All names in the file.
  """
  found = {name.split('/')[0] for name in names}
  convolutions = _ranked('conv2d', found)
  norms = _ranked('batch_normalization', found)
  tensors = []
  for layer in layers.trunk:
    projection = _PROJECTION.fullmatch(layer.scope)
    if projection:
      # Keras counts the last block as the tenth of its kind.
      block = projection.group(1) or 'block8_10'
      tensors += _with_bias(layer, f'{block}_conv')
    elif layer.scope == 'Conv2d_7b_1x1':
      tensors += _with_batch_norm(layer, 'conv_7b', 'conv_7b_bn')
    else:
      tensors += _with_batch_norm(layer, next(convolutions), next(norms))
  (classifier,) = layers.head
  return tensors + _with_bias(classifier, 'predictions')


def _ranked(kind: str, names: Iterable[str]) -> Iterator[str]:
  """Yields the names of unnamed layers of a kind in the order of creation.

  Where a file has too few of them, yields placeholders for error messages.
  """
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


_NETWORK = PublishedNetwork(name_tensors, classifier='predictions/1')

KERAS = Project(
  networks={'inception_v3': _NETWORK, 'inception_resnet_v2': _NETWORK},
  batch_norm_scale=False,
)

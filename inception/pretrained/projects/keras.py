"""Keras Applications: InceptionV3 and InceptionResNetV2.

Keras numbers unnamed layers in order of creation, from a counter that a session
shares: their rank matters, not the number. Its memory layouts match ours.
"""

from collections.abc import Iterable, Iterator
import itertools
import re

from inception.pretrained.tensors import (
  Arrays,
  NetworkLayers,
  Project,
  PublishedNetwork,
  Tensor,
)
from inception.spec.layers import Layer

_PROJECTION = re.compile(
  r'(?:Repeat(?:_[12])?/(block\d+_\d+)|Block8)/Conv2d_1x1'
)
# Layers of the network with explicit names.
_PROJECTED = re.compile(r'block\d+_\d+_conv|conv_7b')


def _name_tensors(layers: NetworkLayers, arrays: Arrays) -> list[Tensor]:
  """Returns all tensors of a network, named `<layer>/<index in the layer>`."""
  found = {name.split('/')[0] for name in arrays}
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
  for classifier in layers.head:
    (name,) = _dense_layers(arrays)
    tensors += _with_bias(classifier, name)
  return tensors


def _find_classifier(arrays: Arrays) -> str | None:
  """Returns the bias of the only dense layer, whatever users named it."""
  # In a stack of several, none maps the pooled grid to logits.
  dense = _dense_layers(arrays)
  return f'{dense[0]}/1' if len(dense) == 1 else None


def _dense_layers(arrays: Arrays) -> list[str]:
  """Returns the layers with a matrix and a bias."""
  return [
    name.removesuffix('/0')
    for name, array in arrays.items()
    if name.endswith('/0')
    and array.ndim == 2
    and name.removesuffix('/0') + '/1' in arrays
  ]


def _is_of_head(name: str) -> bool:
  """True for a tensor of the classifier, or of a layer outside the network.

  Layers after the network have higher numbers, so `_name_tensors` skips them.
  """
  return not _PROJECTED.match(name)


def _ranked(kind: str, names: Iterable[str]) -> Iterator[str]:
  """Yields unnamed layers of a kind in creation order, then placeholders."""
  numbers = sorted(
    int(match.group(1) or 0)
    for name in names
    if (match := re.fullmatch(rf'{kind}(?:_(\d+))?', name))
  )
  for number in numbers:
    yield f'{kind}_{number}' if number else kind
  # For error messages, if the file has too few layers.
  for missing in itertools.count(len(numbers) + 1):
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


_NETWORK = PublishedNetwork(_name_tensors, _find_classifier, _is_of_head)

KERAS = Project(
  networks={'inception_v3': _NETWORK, 'inception_resnet_v2': _NETWORK},
  batch_norm_scale=False,
)

"""The network of the Frechet Inception distance, under three sets of names.

The graph of 2015-12-05 by TensorFlow, its conversion by pytorch-fid (which is
also torch-fidelity's file), and the conversion of that by jax-fid. All define
their convolutions in the order of our table.
"""

from collections.abc import Container, Iterator
import functools

from inception import architectures
from inception.pretrained.projects import pytorch_names
from inception.pretrained.projects.pytorch import pytorch_tensors
from inception.pretrained.tensors import (
  Arrays,
  NetworkLayers,
  Project,
  PublishedNetwork,
  Tensor,
)
from inception.spec.layers import Layer

NETWORK = 'inception_v3_fid'
_CLASSES = architectures.get_architecture(NETWORK).num_classes

# Our name of a vector after convolutions, and theirs.
_GRAPH_VECTORS = {
  'scale': 'batchnorm/gamma',
  'bias': 'batchnorm/beta',
  'mean': 'batchnorm/moving_mean',
  'var': 'batchnorm/moving_variance',
}
_FLAX_VECTORS = {name: f'bn.{name}' for name in _GRAPH_VECTORS}

# The blocks of the graph: whether a single convolution comes first, and for
# each tower its convolutions, and those that fork at its end.
_FORK = [(1, 2), (2, 2), (1, 0)]
_BLOCKS = [
  *[(True, [(2, 0), (3, 0), (1, 0)])] * 3,
  (True, [(3, 0)]),
  *[(True, [(3, 0), (5, 0), (1, 0)])] * 4,
  (False, [(2, 0), (4, 0)]),
  *[(True, _FORK)] * 2,
]


def _graph_names() -> Iterator[str]:
  """Yields the names of the graph's convolutions."""
  yield from _numbered('conv', 5)
  for block, (has_first, towers) in zip(
    _numbered('mixed', len(_BLOCKS)), _BLOCKS, strict=True
  ):
    if has_first:
      yield f'{block}/conv'
    for tower, (count, forks) in zip(_numbered('tower', len(towers)), towers):
      for name in _numbered('conv', count):
        yield f'{block}/{tower}/{name}'
      for name in _numbered('conv', forks):
        yield f'{block}/{tower}/mixed/{name}'


def _numbered(name: str, count: int) -> list[str]:
  """Returns TensorFlow's names: conv, conv_1, conv_2."""
  return [f'{name}_{i}' if i else name for i in range(count)]


def _tensors(
  names: list[str],
  kernel: str,
  vectors: dict[str, str],
  classifier: tuple[str, str],
  separator: str,
  layers: NetworkLayers,
) -> list[Tensor]:
  """Returns tensors whose memory layouts are ours."""
  found = []
  for layer, name in zip(layers.trunk, names, strict=True):
    own = f'{name}{separator}'
    shape = layer.weights['kernel']
    found.append(Tensor(own + kernel, shape, f'params/{layer.scope}/kernel'))
    for ours, theirs in vectors.items():
      path = f'{_collection(ours)}/{layer.scope}/BatchNorm/{ours}'
      found.append(Tensor(own + theirs, shape[-1:], path))
  for layer in layers.head:
    found += _classifier(layer, classifier)
  return found


def _collection(vector: str) -> str:
  return 'batch_stats' if vector in ('mean', 'var') else 'params'


def _classifier(layer: Layer, names: tuple[str, str]) -> list[Tensor]:
  shape = layer.weights['kernel']
  kernel, bias = names
  return [
    Tensor(kernel, shape, f'params/{layer.scope}/kernel'),
    Tensor(bias, shape[1:], f'params/{layer.scope}/bias'),
  ]


_SOFTMAX = ('softmax/weights', 'softmax/biases')
_FC = ('fc.kernel', 'fc.bias')

_IN_GRAPH = functools.partial(
  _tensors, [*_graph_names()], 'conv2d_params', _GRAPH_VECTORS, _SOFTMAX, '/'
)
_IN_FLAX = functools.partial(
  _tensors,
  pytorch_names.inception_v3(),
  'conv.kernel',
  _FLAX_VECTORS,
  _FC,
  '.',
)
_IN_PYTORCH = functools.partial(
  pytorch_tensors, pytorch_names.inception_v3(), ['fc'], []
)


def _name_tensors(layers: NetworkLayers, arrays: Arrays) -> list[Tensor]:
  if any(name.endswith('conv2d_params') for name in arrays):
    return _IN_GRAPH(layers)
  if any(name.endswith('conv.kernel') for name in arrays):
    return _IN_FLAX(layers)
  return _IN_PYTORCH(layers, arrays)


def _find_classifier(arrays: Arrays) -> str:
  return _SOFTMAX[1] if _SOFTMAX[1] in arrays else 'fc.bias'


def _ignores(name: str, names: Container[str]) -> bool:
  """True for a counter of PyTorch, and for a constant of the graph."""
  if name.endswith('num_batches_tracked'):
    return True
  parameters = ('conv2d_params', *_GRAPH_VECTORS.values(), *_SOFTMAX)
  return _SOFTMAX[0] in names and not name.endswith(parameters)


FID = Project(
  networks={
    NETWORK: PublishedNetwork(
      _name_tensors,
      find_classifier=_find_classifier,
      is_of_head=lambda name: name.startswith(('fc.', 'softmax/')),
    )
  },
  batch_norm_scale=True,
  of_imagenet=False,
  allows_classes=lambda num_classes: num_classes in (0, _CLASSES),
  ignores=_ignores,
)

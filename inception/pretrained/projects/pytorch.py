"""torchvision, timm and facenet-pytorch: tensors of their layers.

In PyTorch, kernels are [out, in, height, width] and matrices [out, in].
"""

from collections.abc import Container, Iterable, Iterator
import functools
import re

import numpy as np

from inception import architectures
from inception.pretrained.projects import pytorch_names
from inception.pretrained.projects.pytorch_names import Names, under
from inception.pretrained.tensors import (
  Arrays,
  NetworkLayers,
  Project,
  PublishedNetwork,
  Tensor,
)
from inception.spec.layers import Layer

# A tensor of PyTorch's batch norm, and the collection and name it has here.
_BATCH_NORM = {
  'weight': ('params', 'scale'),
  'bias': ('params', 'bias'),
  'running_mean': ('batch_stats', 'mean'),
  'running_var': ('batch_stats', 'var'),
}


def pytorch_tensors(
  trunk: Names,
  head: Names,
  aux: list[Names],
  layers: NetworkLayers,
  names: Iterable[str],
) -> list[Tensor]:
  """Returns all tensors of a network; the names in the file do not matter."""
  del names
  named = [*zip(layers.trunk, trunk, strict=True)]
  named += zip(layers.head, head)  # Without a classifier, `head` is longer.
  if layers.aux:
    for aux_layers, aux_names in zip(layers.aux, aux, strict=True):
      named += zip(aux_layers, aux_names, strict=True)
  return [tensor for layer, name in named for tensor in _layer(layer, name)]


def _layer(layer: Layer, name: str) -> Iterator[Tensor]:
  scope = f'params/{layer.scope}'
  shape = layer.weights['kernel']
  if len(shape) == 2:
    # A hidden layer reads a flattened grid, channels first in PyTorch.
    height, width, channels = layer.input

    def to_matrix(x: np.ndarray) -> np.ndarray:
      x = x.reshape(-1, channels, height, width)
      return x.transpose(2, 3, 1, 0).reshape(shape)

    yield Tensor(f'{name}.weight', shape[::-1], f'{scope}/kernel', to_matrix)
    norm = 'last_bn'  # FaceNet's embedding, the only matrix with batch norm.
  else:
    height, width, channels, features = shape
    convolution = f'{name}.conv' if layer.batch_norm_channels else name
    yield Tensor(
      f'{convolution}.weight',
      (features, channels, height, width),
      f'{scope}/kernel',
      lambda x: x.transpose(2, 3, 1, 0),
    )
    norm = f'{name}.bn'
  if layer.batch_norm_channels:
    for theirs, (collection, ours) in _BATCH_NORM.items():
      path = f'{collection}/{layer.scope}/BatchNorm/{ours}'
      yield Tensor(f'{norm}.{theirs}', layer.output[2:], path)
  elif 'bias' in layer.parameters():
    yield Tensor(f'{name}.bias', layer.output[2:], f'{scope}/bias')


def _network(
  trunk: Names,
  head: Names,
  aux: tuple[str, ...] = (),
  aux_layers: tuple[str, ...] = (),
  also_called: str | None = None,
) -> PublishedNetwork:
  """Describes a network by the names of its layers, the classifier's last."""
  classifier = head[-1]
  aux_names = [under(name, aux_layers) for name in aux]
  return PublishedNetwork(
    functools.partial(pytorch_tensors, trunk, head, aux_names),
    find_classifier=lambda _: f'{classifier}.bias',
    is_of_head=lambda name: name.startswith(f'{classifier}.'),
    aux_prefixes=tuple(f'{name}.' for name in aux),
    unwrap=functools.partial(_unwrap, classifier, also_called or classifier),
  )


def _unwrap(name: str, other: str, arrays: Arrays) -> Arrays:
  """Renames a classifier called `other` or wrapped in an `nn.Sequential`."""
  names = [re.sub(rf'^{other}\.', f'{name}.', key) for key in arrays]
  inside = re.compile(rf'{name}\.(\d+)\.(weight|bias)')
  found = [inside.fullmatch(key) for key in names]
  if len({match[1] for match in found if match}) == 1:
    names = [
      f'{name}.{match[2]}' if match else key for key, match in zip(names, found)
    ]
  return dict(zip(names, arrays.values()))


# The FID network has the names and shapes of torchvision's but pools
# differently; only the number of classes distinguishes them.
_FID_CLASSES = architectures.get_architecture('inception_v3_fid').num_classes


def _is_not_fid(num_classes: int) -> bool:
  return num_classes != _FID_CLASSES


def _counts_batches(name: str, names: Container[str]) -> bool:
  del names
  return name.endswith('num_batches_tracked')


_INCEPTION_V3 = _network(
  pytorch_names.inception_v3(),
  ['fc'],
  aux=('AuxLogits',),
  aux_layers=('conv0', 'conv1', 'fc'),
)

TORCHVISION = Project(
  networks={
    'inception_v1_torchvision': _network(
      pytorch_names.googlenet(),
      ['fc'],
      aux=('aux1', 'aux2'),
      aux_layers=('conv', 'fc1', 'fc2'),
    ),
    'inception_v3_torchvision': _INCEPTION_V3,
  },
  batch_norm_scale=True,
  allows_classes=_is_not_fid,
  ignores=_counts_batches,
)

TIMM = Project(
  networks={
    'inception_v3_torchvision': _INCEPTION_V3,
    'inception_v4': _network(pytorch_names.inception_v4(), ['last_linear']),
    'inception_resnet_v2': _network(
      pytorch_names.inception_resnet_v2(),
      ['classif'],
      also_called='last_linear',  # In pretrainedmodels.
    ),
  },
  batch_norm_scale=True,
  allows_classes=_is_not_fid,
  ignores=_counts_batches,
)

FACENET = Project(
  networks={
    'inception_resnet_v1_facenet': _network(
      pytorch_names.facenet(), ['last_linear', 'logits']
    )
  },
  batch_norm_scale=True,
  of_imagenet=False,
  ignores=_counts_batches,
)

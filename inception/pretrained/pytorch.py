"""torchvision, timm, pytorch-fid and facenet-pytorch: names of tensors.

All of them define their convolutions in the order of our tables, so a list of
names in that order is the whole mapping. In PyTorch kernels are [out, in,
height, width] and matrices [out, in].
"""

from collections.abc import Callable, Container, Iterable, Iterator
import functools

import numpy as np

from inception.architectures.layer import Layer
from inception.pretrained.tensors import NetworkLayers, Project, Tensor

# Name of a tensor of `<convolution>.bn` to where it goes.
_BATCH_NORM = {
  'weight': ('params', 'scale'),
  'bias': ('params', 'bias'),
  'running_mean': ('batch_stats', 'mean'),
  'running_var': ('batch_stats', 'var'),
}

Names = list[str]


def _under(prefix: str, names: Iterable[str]) -> Names:
  return [f'{prefix}.{name}' for name in names]


def _googlenet() -> Names:
  branches = ('branch1', 'branch2.0', 'branch2.1', 'branch3.0', 'branch3.1')
  names = ['conv1', 'conv2', 'conv3']
  for module in ('3a', '3b', '4a', '4b', '4c', '4d', '4e', '5a', '5b'):
    names += _under(f'inception{module}', (*branches, 'branch4.1'))
  return names


def _inception_v3() -> Names:
  double = ('branch3x3dbl_1', 'branch3x3dbl_2', 'branch3x3dbl_3')
  a = ('branch1x1', 'branch5x5_1', 'branch5x5_2', *double, 'branch_pool')
  b = (
    'branch1x1',
    *(f'branch7x7_{i}' for i in range(1, 4)),
    *(f'branch7x7dbl_{i}' for i in range(1, 6)),
    'branch_pool',
  )
  c = (
    'branch1x1',
    *('branch3x3_1', 'branch3x3_2a', 'branch3x3_2b'),
    *('branch3x3dbl_1', 'branch3x3dbl_2', 'branch3x3dbl_3a', 'branch3x3dbl_3b'),
    'branch_pool',
  )
  reduction_b = (
    *('branch3x3_1', 'branch3x3_2'),
    *(f'branch7x7x3_{i}' for i in range(1, 5)),
  )
  names = [f'Conv2d_{x}' for x in ('1a_3x3', '2a_3x3', '2b_3x3')]
  names += ['Conv2d_3b_1x1', 'Conv2d_4a_3x3']
  for i in 'bcd':
    names += _under(f'Mixed_5{i}', a)
  names += _under('Mixed_6a', ('branch3x3', *double))
  for i in 'bcde':
    names += _under(f'Mixed_6{i}', b)
  names += _under('Mixed_7a', reduction_b)
  for i in 'bc':
    names += _under(f'Mixed_7{i}', c)
  return names


def _branches(*lengths: int) -> Names:
  """Names branches by their lengths: a single convolution has no number."""
  return [
    f'branch{i}' if length == 1 else f'branch{i}.{j}'
    for i, length in enumerate(lengths)
    for j in range(length)
  ]


def _inception_v4() -> Names:
  c = (
    'branch0',
    *('branch1_0', 'branch1_1a', 'branch1_1b'),
    *('branch2_0', 'branch2_1', 'branch2_2', 'branch2_3a', 'branch2_3b'),
    'branch3.1',
  )
  blocks: list[Iterable[str]] = [
    ['conv'],  # Mixed_3a
    _branches(2, 4),
    ['conv'],  # Mixed_5a
    *[[*_branches(1, 2, 3), 'branch3.1']] * 4,
    _branches(1, 3),
    *[[*_branches(1, 3, 5), 'branch3.1']] * 7,
    _branches(2, 4),
    *[c] * 3,
  ]
  names = [f'features.{i}' for i in range(3)]
  for i, block in enumerate(blocks, start=3):
    names += _under(f'features.{i}', block)
  return names


def _residual(name: str, times: int, *lengths: int) -> Names:
  block = [*_branches(*lengths), 'conv2d']
  return [x for i in range(times) for x in _under(f'{name}.{i}', block)]


def _inception_resnet_v2() -> Names:
  return [
    *(f'conv2d_{x}' for x in ('1a', '2a', '2b', '3b', '4a')),
    *_under('mixed_5b', [*_branches(1, 2, 3), 'branch3.1']),
    *_residual('repeat', 10, 1, 2, 3),
    *_under('mixed_6a', _branches(1, 3)),
    *_residual('repeat_1', 20, 1, 3),
    *_under('mixed_7a', _branches(2, 2, 3)),
    *_residual('repeat_2', 9, 1, 3),
    *_under('block8', [*_branches(1, 3), 'conv2d']),
    'conv2d_7b',
  ]


def _facenet() -> Names:
  return [
    *(f'conv2d_{x}' for x in ('1a', '2a', '2b', '3b', '4a', '4b')),
    *_residual('repeat_1', 5, 1, 2, 3),
    *_under('mixed_6a', _branches(1, 3)),
    *_residual('repeat_2', 10, 1, 3),
    *_under('mixed_7a', _branches(2, 2, 3)),
    *_residual('repeat_3', 5, 1, 3),
    *_under('block8', [*_branches(1, 3), 'conv2d']),
  ]


def name_tensors(
  trunk: Callable[[], Names],
  head: Names,
  aux: Callable[[int], Names],
  layers: NetworkLayers,
  names: Iterable[str],
) -> list[Tensor]:
  """Names all tensors of a network.

  Args:
    trunk: makes names of the convolutions in the order of definition.
    head: names of the layers after the last grid.
    aux: makes names of the layers of an auxiliary head by its number.
    layers: of the network.
    names: all names in the file; not needed here.
  """
  del names
  named = [*zip(layers.trunk, trunk(), strict=True)]
  named += zip(layers.head, head, strict=True)
  for i, some in enumerate(layers.aux.values(), start=1):
    named += zip(some, aux(i), strict=True)
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
    norm = 'last_bn'  # Of FaceNet's embedding, the only one behind a matrix.
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
    for theirs, (kind, ours) in _BATCH_NORM.items():
      path = f'{kind}/{layer.scope}/BatchNorm/{ours}'
      yield Tensor(f'{norm}.{theirs}', layer.output[2:], path)
  elif 'bias' in layer.parameters():
    yield Tensor(f'{name}.bias', layer.output[2:], f'{scope}/bias')


def _googlenet_aux(number: int) -> Names:
  return _under(f'aux{number}', ('conv', 'fc1', 'fc2'))


def _inception_v3_aux(number: int) -> Names:
  del number
  return _under('AuxLogits', ('conv0', 'conv1', 'fc'))


def _no_aux(number: int) -> Names:
  raise AssertionError(f'there is no auxiliary head {number}')


# The FID network has the names and shapes of torchvision's, and other pooling:
# only its number of classes tells them apart.
_FID_CLASSES = 1008


def _counts_batches(name: str, names: Container[str]) -> bool:
  del names
  return name.endswith('num_batches_tracked')


_V3 = functools.partial(name_tensors, _inception_v3, ['fc'], _inception_v3_aux)

TORCHVISION = Project(
  networks={
    'inception_v1_torchvision': functools.partial(
      name_tensors, _googlenet, ['fc'], _googlenet_aux
    ),
    'inception_v3_torchvision': _V3,
  },
  classifier={
    'inception_v1_torchvision': 'fc.bias',
    'inception_v3_torchvision': 'fc.bias',
  },
  aux_prefix={
    'inception_v1_torchvision': 'aux',
    'inception_v3_torchvision': 'AuxLogits.',
  },
  batch_norm_scale=True,
  has_classes=lambda count: count != _FID_CLASSES,
  ignore=_counts_batches,
)

TIMM = Project(
  networks={
    'inception_v3_torchvision': _V3,
    'inception_v4': functools.partial(
      name_tensors, _inception_v4, ['last_linear'], _no_aux
    ),
    'inception_resnet_v2': functools.partial(
      name_tensors, _inception_resnet_v2, ['classif'], _no_aux
    ),
  },
  classifier={
    'inception_v3_torchvision': 'fc.bias',
    'inception_v4': 'last_linear.bias',
    'inception_resnet_v2': 'classif.bias',
  },
  aux_prefix={'inception_v3_torchvision': 'AuxLogits.'},
  batch_norm_scale=True,
  has_classes=lambda count: count != _FID_CLASSES,
  ignore=_counts_batches,
)

FID = Project(
  networks={'inception_v3_fid': _V3},
  classifier={'inception_v3_fid': 'fc.bias'},
  aux_prefix={},
  batch_norm_scale=True,
  has_classes=lambda count: count == _FID_CLASSES,
  ignore=_counts_batches,
)

FACENET = Project(
  networks={
    'inception_resnet_v1_facenet': functools.partial(
      name_tensors, _facenet, ['last_linear', 'logits'], _no_aux
    )
  },
  classifier={'inception_resnet_v1_facenet': 'logits.bias'},
  aux_prefix={},
  batch_norm_scale=True,
  ignore=_counts_batches,
)

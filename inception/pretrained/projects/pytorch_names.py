"""Names of layers in torchvision, timm and facenet-pytorch.

All of them define their convolutions in the order of our tables, so a list of
names in that order is the whole mapping. pytorch-fid has torchvision's names.
"""

from collections.abc import Iterable

Names = list[str]


def googlenet() -> Names:
  """Returns the convolutions of torchvision's GoogLeNet."""
  branches = ('branch1', 'branch2.0', 'branch2.1', 'branch3.0', 'branch3.1')
  names = ['conv1', 'conv2', 'conv3']
  for module in ('3a', '3b', '4a', '4b', '4c', '4d', '4e', '5a', '5b'):
    names += under(f'inception{module}', (*branches, 'branch4.1'))
  return names


def inception_v3() -> Names:
  """Returns the convolutions of Inception v3 in torchvision and timm."""
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
    names += under(f'Mixed_5{i}', a)
  names += under('Mixed_6a', ('branch3x3', *double))
  for i in 'bcde':
    names += under(f'Mixed_6{i}', b)
  names += under('Mixed_7a', reduction_b)
  for i in 'bc':
    names += under(f'Mixed_7{i}', c)
  return names


def inception_v4() -> Names:
  """Returns the convolutions of timm's Inception v4."""
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
    names += under(f'features.{i}', block)
  return names


def inception_resnet_v2() -> Names:
  """Returns the convolutions of timm's Inception-ResNet-v2."""
  return [
    *(f'conv2d_{x}' for x in ('1a', '2a', '2b', '3b', '4a')),
    *under('mixed_5b', [*_branches(1, 2, 3), 'branch3.1']),
    *_residual('repeat', 10, 1, 2, 3),
    *under('mixed_6a', _branches(1, 3)),
    *_residual('repeat_1', 20, 1, 3),
    *under('mixed_7a', _branches(2, 2, 3)),
    *_residual('repeat_2', 9, 1, 3),
    *under('block8', [*_branches(1, 3), 'conv2d']),
    'conv2d_7b',
  ]


def facenet() -> Names:
  """Returns the convolutions of facenet-pytorch's Inception-ResNet-v1."""
  return [
    *(f'conv2d_{x}' for x in ('1a', '2a', '2b', '3b', '4a', '4b')),
    *_residual('repeat_1', 5, 1, 2, 3),
    *under('mixed_6a', _branches(1, 3)),
    *_residual('repeat_2', 10, 1, 3),
    *under('mixed_7a', _branches(2, 2, 3)),
    *_residual('repeat_3', 5, 1, 3),
    *under('block8', [*_branches(1, 3), 'conv2d']),
  ]


def under(prefix: str, names: Iterable[str]) -> Names:
  """Returns the names with a module's prefix."""
  return [f'{prefix}.{name}' for name in names]


def _branches(*lengths: int) -> Names:
  """Returns branch names by length; a single convolution has no number."""
  return [
    f'branch{i}' if length == 1 else f'branch{i}.{j}'
    for i, length in enumerate(lengths)
    for j in range(length)
  ]


def _residual(name: str, times: int, *lengths: int) -> Names:
  block = [*_branches(*lengths), 'conv2d']
  return [x for i in range(times) for x in under(f'{name}.{i}', block)]

"""Weights and images that both sides generate, from names alone.

NumPy's RandomState is the same in every version. Nothing is transferred: a
tensor with a different name gets different values, so equal results also prove
that the names match.
"""

import math
import zlib

import numpy as np


def tensor(name, shape, input_axes):
  """Returns float32 values for a tensor as in a trained network.

  Args:
    name: Name of the tensor in the peer's project.
    shape: Shape of the tensor.
    input_axes: Kernel axes that are summed over; they set the scale.
  """
  state = np.random.RandomState(zlib.crc32(name.encode()))
  normal = state.standard_normal(shape)
  if len(shape) > 1:
    fan_in = math.prod(shape[axis] for axis in input_axes)
    values = normal * math.sqrt(2 / fan_in)
  elif is_positive(name):
    values = 1 + 0.2 * np.tanh(normal)
  else:
    values = 0.1 * normal
  return values.astype(np.float32)


def is_positive(name):
  """True if a vector is a variance or a scale of batch norm."""
  *_, layer, last = ('', *name.replace('/', '.').split('.'))
  scale = last == 'weight' and layer.split('_')[-1] == 'bn'
  return scale or last in ('running_var', 'moving_variance', 'gamma')


def images(size, count=2):
  """Returns float32 [count, size, size, 3] in [-1, 1]."""
  state = np.random.RandomState(size)
  smooth = state.uniform(-1, 1, (count, 6, 6, 3)).repeat(-(-size // 6), 1)
  smooth = smooth.repeat(-(-size // 6), 2)[:, :size, :size]
  noise = state.uniform(-1, 1, (count, size, size, 3))
  return (0.7 * smooth + 0.3 * noise).astype(np.float32)

"""Inputs of golden numbers: RandomState and elementwise operations only."""

import zlib

import numpy as np


def _state(name):
  return np.random.RandomState(zlib.crc32(name.encode()))


def features(name, count, size, shift=0.0):
  """Returns float32 [count, size]: not negative, correlated, heavy-tailed."""
  z = _state(name).standard_normal((count, size))
  z = (z + np.roll(z, 1, axis=1)) / np.sqrt(2.0)
  scale = 0.2 + (np.arange(size) % 7) / 7.0
  x = 0.4 * np.exp(0.6 * scale * z + shift) - 0.1
  return np.maximum(x, 0.0).astype(np.float32)


def logits(name, count, classes=1008):
  """Returns float32 [count, classes]."""
  return (3.0 * _state(name).standard_normal((count, classes))).astype('f4')


def picture(name, height, width):
  """Returns uint8 [height, width, 3]: coarse blocks and noise."""
  state = _state(name)
  blocks = state.randint(0, 256, (9, 7, 3)).astype(np.float64)
  rows = np.arange(height) * 9 // height
  columns = np.arange(width) * 7 // width
  noise = state.randint(-40, 41, (height, width, 3))
  return np.clip(blocks[rows][:, columns] + noise, 0, 255).astype(np.uint8)

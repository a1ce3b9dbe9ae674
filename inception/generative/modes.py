"""Modes: how evaluators resize images to 299 x 299 and normalize them.

A resize depends on height and width only through arrays that the host makes, so
one compiled program serves images of many sizes, padded to a common one.
"""

from collections.abc import Callable
import dataclasses
from typing import Any

from flax import struct
import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from inception.errors import lookup

Array = jax.Array

SIDE = 299  # Height and width of the network's images, pixels.

_PAD_TO = 64  # Images of several sizes are padded to multiples of this.


@struct.dataclass
class Blend:
  """Each output pixel blends two input pixels: (1 - share) low + share high.

  Attributes:
    low: Index of the first input pixel, int32 [299].
    high: Index of the second, int32 [299].
    share: Of the second, float32 [299].
  """

  low: Array | np.ndarray
  high: Array | np.ndarray
  share: Array | np.ndarray

  def __call__(self, images: Array, axis: int) -> Array:
    """Resizes one axis of float32 images [batch, height, width, 3]."""
    shape = [1] * images.ndim
    shape[axis] = SIDE
    low = jnp.take(images, self.low, axis)
    high = jnp.take(images, self.high, axis)
    # Without this barrier, XLA multiplies and adds with a single rounding, and
    # the result is not that of TensorFlow to the bit.
    moved = lax.optimization_barrier((high - low) * self.share.reshape(shape))
    return low + moved


@struct.dataclass
class Weights:
  """Each output pixel is a weighted sum of all input pixels.

  Attributes:
    matrix: float32 [299, length].
  """

  matrix: Array | np.ndarray

  def __call__(self, images: Array, axis: int) -> Array:
    """Resizes one axis of float32 images [batch, height, width, 3]."""
    resized = jnp.tensordot(
      self.matrix, images, ((1,), (axis,)), precision=lax.Precision.HIGHEST
    )
    return jnp.moveaxis(resized, 0, axis)


Resize = Blend | Weights


@dataclasses.dataclass(frozen=True)
class Mode:
  """How an evaluator prepares images.

  Attributes:
    resize: Makes the resize of an axis from its length, and the length that it
      is padded to.
    mean: Subtracted from pixels of 0 to 255.
    std: Divides the result.
    clip: Clip resized pixels to [0, 255].
  """

  resize: Callable[[int, int], Resize]
  mean: float
  std: float
  clip: bool = False


def _corners(length: int, padded: int) -> Resize:
  """TensorFlow 1's bilinear resize: output pixel i is at i * scale."""
  del padded
  return _blend(np.arange(SIDE, dtype=np.float32), length, np.float32(0))


def _centers(length: int, padded: int) -> Resize:
  """A bilinear resize whose pixels are squares, without antialiasing."""
  del padded
  return _blend(np.arange(SIDE, dtype=np.float32), length, np.float32(0.5))


def _blend(index: np.ndarray, length: int, center: np.float32) -> Blend:
  scale = np.float32(length) / np.float32(SIDE)
  position = np.maximum((index + center) * scale - center, np.float32(0))
  low = np.minimum(position.astype(np.int32), length - 1)
  high = np.minimum(low + 1, length - 1)
  return Blend(low, high, (position - low).astype(np.float32))


def _antialiased(
  kernel: Callable[[np.ndarray], np.ndarray], dtype: Any
) -> Callable[[int, int], Resize]:
  """A resize that averages over source pixels when it shrinks, as Pillow's.

  Args:
    kernel: Weight of a pixel by its distance.
    dtype: In which the evaluator computes weights.
  """

  def make(length: int, padded: int) -> Resize:
    scale = dtype(length) / dtype(SIDE)
    centers = scale * (np.arange(SIDE, dtype=dtype) + dtype(0.5))
    away = np.arange(length, dtype=dtype) - centers[:, None] + dtype(0.5)
    weights = kernel(np.abs(away / max(scale, dtype(1))))
    weights /= weights.sum(axis=1, keepdims=True)
    matrix = np.zeros((SIDE, padded), np.float32)
    matrix[:, :length] = weights
    return Weights(matrix)

  return make


def _triangle(x: np.ndarray) -> np.ndarray:
  return np.maximum(1 - x, 0)


def _cubic(x: np.ndarray) -> np.ndarray:
  """Keys's cubic kernel with a = -0.5, for distances x."""
  near = (1.5 * x - 2.5) * x**2 + 1
  far = ((-0.5 * x + 2.5) * x - 4) * x + 2
  return np.where(x < 1, near, np.where(x < 2, far, 0))


MODES = {
  # TTUR, ADM, torch-fidelity, NVIDIA's network.
  'tf1': Mode(_corners, 128, 128),
  # pytorch-fid; clean-fid's legacy_pytorch.
  'pytorch': Mode(_centers, 127.5, 127.5),
  # clean-fid.
  'clean': Mode(_antialiased(_cubic, np.float64), 128, 128, clip=True),
  # torchmetrics since 1.8.
  'torchmetrics': Mode(_antialiased(_triangle, np.float32), 128, 128),
}


def find(name: str) -> Mode:
  """Returns a mode by name.

  Raises:
    UserError: There is no such mode.
  """
  return lookup(MODES, name, 'mode')


def resizes(
  mode: Mode, height: int, width: int, padded: tuple[int, int] | None = None
) -> tuple[Resize, Resize]:
  """Returns the resize of height and of width for images of one size.

  Args:
    mode: The mode.
    height: Of the images, pixels.
    width: Of the images, pixels.
    padded: Height and width that the images are padded to; None: not padded.
  """
  rows, columns = padded or (height, width)
  return mode.resize(height, rows), mode.resize(width, columns)


def apply(mode: Mode, axes: tuple[Resize, Resize], images: Array) -> Array:
  """Resizes and normalizes images; see `prepare`."""
  pixels = images.astype(jnp.float32)
  # First the width, as TensorFlow and Pillow do.
  for axis in (2, 1):
    pixels = axes[axis - 1](pixels, axis)
  if mode.clip:
    pixels = jnp.clip(pixels, 0, 255)
  return (pixels - mode.mean) / mode.std


def prepare(images: Array, mode: str = 'tf1') -> Array:
  """Prepares images for the network.

  Args:
    images: [batch, height, width, 3], red, green, blue, from 0 to 255.
    mode: A name in `MODES`.

  Returns:
    float32 [batch, 299, 299, 3].

  Raises:
    UserError: There is no such mode.
  """
  chosen = find(mode)
  height, width = images.shape[1:3]
  return apply(chosen, resizes(chosen, height, width), images)


def padded_size(height: int, width: int) -> tuple[int, int]:
  """Returns the height and width that images of a size are padded to."""
  return -height % _PAD_TO + height, -width % _PAD_TO + width

"""Writes operations as TensorFlow's, inside a traced function."""

from collections.abc import Sequence
import dataclasses
from typing import Any

import numpy as np

from inception.data.tensorflow import tf
from inception.export.target import PIXEL, Kernel, Window
from inception.modules.rounding import LARGEST
from inception.spec import shapes
from inception.spec import vocabulary as v

# Below any activation; LiteRT pads with numbers only.
_LOWEST = np.finfo(np.float32).min


class TensorFlowTarget:
  """A `Target`; values are symbolic tensors.

  int8 is written as float32 with fake-quantization operations, which LiteRT's
  converter turns into integers.
  """

  def images(self, images: Any, normalization: Any = None) -> Any:
    """Returns images as the network reads them.

    Args:
      images: [batch, height, width, 3], uint8 or normalized float32.
      normalization: As in `OnnxTarget.images`.
    """
    if normalization is None:
      return images
    mean, std, order = normalization
    x = (tf.cast(images, tf.float32) - mean) / std
    return x[..., order]

  def convolve(
    self, x: Any, kernel: Kernel, window: Window, groups: int = 1
  ) -> Any:
    """See `Target`."""
    values = _weights(kernel)
    padding = _padding(x, window)
    steps = [1, window.stride, window.stride, 1]
    if groups == 1:
      y = tf.nn.conv2d(x, values, steps, padding)
    else:
      # [height, width, 1, in * multiplier] to [height, width, in, multiplier].
      values = tf.reshape(values, [*values.shape[:2], groups, -1])
      y = tf.nn.depthwise_conv2d(x, values, steps, padding)
    return y if kernel.bias is None else tf.nn.bias_add(y, kernel.bias)

  def dense(self, x: Any, kernel: Kernel) -> Any:
    """See `Target`."""
    if kernel.scale is None:
      return tf.matmul(x, kernel.values) + kernel.bias
    # The converter cannot transpose kernels with a scale per output.
    values = kernel.values[None, None]
    grid = self.convolve(
      self.grid_of(x), dataclasses.replace(kernel, values=values), PIXEL
    )
    return tf.squeeze(grid, [1, 2])

  def max_pool(self, x: Any, window: Window) -> Any:
    """See `Target`."""
    padding = _padding(x, window)
    if not isinstance(padding, str):
      x, padding = tf.pad(x, padding, constant_values=_LOWEST), 'VALID'
    return tf.nn.max_pool2d(x, window.size, window.stride, padding)

  def average_pool(self, x: Any, window: Window, count_padding: bool) -> Any:
    """See `Target`."""
    padding = _padding(x, window)
    if isinstance(padding, str) and not (count_padding and padding == 'SAME'):
      return tf.nn.avg_pool2d(x, window.size, window.stride, padding)
    pads = [(0, 0), *window.pads, (0, 0)]
    sums = tf.nn.avg_pool2d(
      tf.pad(x, pads), window.size, window.stride, 'VALID'
    )
    if count_padding:
      return sums
    ones = tf.pad(tf.ones([1, *x.shape[1:3], 1]), pads)
    shares = tf.nn.avg_pool2d(ones, window.size, window.stride, 'VALID')
    return sums / shares

  def local_response_norm(
    self, x: Any, size: int, alpha: float, beta: float, bias: float
  ) -> Any:
    """See `Target`."""
    return tf.nn.local_response_normalization(
      x, size // 2, bias, alpha / size, beta
    )

  def concatenate(self, values: Sequence[Any]) -> Any:
    """See `Target`."""
    return tf.concat(values, axis=3)

  def add(self, x: Any, y: Any) -> Any:
    """See `Target`."""
    return x + y

  def multiply(self, x: Any, factor: Any) -> Any:
    """See `Target`."""
    return x * factor

  def grid_of(self, features: Any) -> Any:
    """See `Target`."""
    return features[:, None, None, :]

  def relu(self, x: Any) -> Any:
    """See `Target`."""
    return tf.nn.relu(x)

  def sigmoid(self, x: Any) -> Any:
    """See `Target`."""
    return tf.sigmoid(x)

  def softmax(self, x: Any) -> Any:
    """See `Target`."""
    return tf.nn.softmax(x)

  def softmax_of_grid(self, x: Any) -> Any:
    """See `Target`."""
    height, width, channels = x.shape[1:]
    flat = tf.reshape(x, [-1, height * width, channels])
    weights = tf.nn.softmax(tf.transpose(flat, [0, 2, 1]))
    shape = [-1, height, width, channels]
    return tf.reshape(tf.transpose(weights, [0, 2, 1]), shape)

  def at_least(self, x: Any, least: float) -> Any:
    """See `Target`."""
    return tf.maximum(x, least)

  def power(self, x: Any, exponent: float) -> Any:
    """See `Target`."""
    return tf.pow(x, exponent)

  def mean_of_grid(self, x: Any) -> Any:
    """See `Target`."""
    return tf.reduce_mean(x, axis=(1, 2))

  def max_of_grid(self, x: Any) -> Any:
    """See `Target`."""
    return tf.reduce_max(x, axis=(1, 2))

  def round(self, x: Any, scale: float, is_positive: bool) -> Any:
    """See `Target`."""
    del is_positive
    largest = LARGEST * scale
    return tf.quantization.fake_quant_with_min_max_args(
      x, -largest, largest, num_bits=8, narrow_range=True
    )


def _weights(kernel: Kernel) -> Any:
  """Returns the numbers of a kernel, float32."""
  if kernel.scale is None:
    return tf.constant(kernel.values)
  numbers = kernel.values.astype(np.float32) * kernel.scale
  largest = LARGEST * kernel.scale
  return tf.quantization.fake_quant_with_min_max_vars_per_channel(
    numbers, -largest, largest, num_bits=8, narrow_range=True
  )


def _padding(x: Any, window: Window) -> Any:
  """Returns TensorFlow's name for the padding of windows, or the pixels."""
  if window.pads == ((0, 0), (0, 0)):
    return 'VALID'
  same = shapes.pads(v.MaxPool(window.size, window.stride), *x.shape[1:3])
  if window.pads == same:
    return 'SAME'
  return [(0, 0), *window.pads, (0, 0)]

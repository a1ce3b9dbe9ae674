"""What a file format must be able to say: one method per operation.

Values are opaque to the caller. Grids are [batch, height, width, channels] and
features [batch, channels] here, however a format lays them out.
"""

from collections.abc import Sequence
import dataclasses
from typing import Any, Protocol

import numpy as np

from inception.spec.shapes import Pads

# A tensor of the format.
Value = Any


@dataclasses.dataclass(frozen=True)
class Kernel:
  """The weights of a convolution or a fully connected layer.

  Attributes:
    values: [..., in, out], float32, or int8 with `scale`.
    bias: float32 [out], or None.
    scale: float32 [out], of int8 values.
    input_scale: Scale of the int8 input, if `values` are int8.
  """

  values: np.ndarray
  bias: np.ndarray | None = None
  scale: np.ndarray | None = None
  input_scale: float | None = None


@dataclasses.dataclass(frozen=True)
class Window:
  """Windows of a convolution or a pooling.

  Attributes:
    size: Height and width, pixels.
    stride: In both directions.
    pads: ((top, bottom), (left, right)), pixels.
  """

  size: tuple[int, int]
  stride: int
  pads: Pads


# Single pixels.
PIXEL = Window((1, 1), 1, ((0, 0), (0, 0)))


class Target(Protocol):
  """Writes operations into a graph, in the order of the calls."""

  def convolve(
    self, x: Value, kernel: Kernel, window: Window, groups: int = 1
  ) -> Value:
    """Convolves a grid; the kernel is [height, width, in / groups, out]."""

  def dense(self, x: Value, kernel: Kernel) -> Value:
    """Multiplies features by a kernel [in, out]."""

  def max_pool(self, x: Value, window: Window) -> Value:
    """Takes the maximum of windows; padding counts as minus infinity."""

  def average_pool(
    self, x: Value, window: Window, count_padding: bool
  ) -> Value:
    """Averages windows, over the pixels of the grid or of the window."""

  def local_response_norm(
    self, x: Value, size: int, alpha: float, beta: float, bias: float
  ) -> Value:
    """Normalizes a grid over channels; see `vocabulary.LocalResponseNorm`."""

  def concatenate(self, values: Sequence[Value]) -> Value:
    """Joins grids along channels."""

  def add(self, x: Value, y: Value) -> Value:
    """Adds grids."""

  def multiply(self, x: Value, factor: Value | float) -> Value:
    """Multiplies a grid by a number or by a grid, perhaps of one pixel."""

  def grid_of(self, features: Value) -> Value:
    """Returns features as a grid of one pixel."""

  def relu(self, x: Value) -> Value:
    """Returns max(x, 0)."""

  def sigmoid(self, x: Value) -> Value:
    """Returns 1 / (1 + exp(-x))."""

  def softmax(self, x: Value) -> Value:
    """Returns the softmax of features."""

  def softmax_of_grid(self, x: Value) -> Value:
    """Returns the softmax over the positions of a grid, per channel."""

  def at_least(self, x: Value, least: float) -> Value:
    """Returns max(x, least)."""

  def power(self, x: Value, exponent: float) -> Value:
    """Returns x to a power; x is positive."""

  def mean_of_grid(self, x: Value) -> Value:
    """Averages a grid to features."""

  def max_of_grid(self, x: Value) -> Value:
    """Returns the maximum of a grid as features."""

  def round(self, x: Value, scale: float, is_positive: bool) -> Value:
    """Rounds to multiples of a scale, from -127 (or -128) to 127 of them.

    Args:
      x: A grid or features.
      scale: The scale.
      is_positive: No number is below zero.
    """

"""Runs a table on a `Target`: the words become operations of a file.

`Graph` is a kind of `interpreter.Numbers`, like `quantization.Integers`, whose
numbers are values of the target. With int8 variables, values are rounded where
`Integers` rounds them.
"""

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any, Self

import numpy as np

from inception.export.target import PIXEL, Kernel, Target, Value, Window
from inception.modules.interpreter import part_at
from inception.modules.options import Options
from inception.spec import shapes
from inception.spec import vocabulary as v
from inception.spec.words import Fork, Path, Plain, Shortcut, Unit, Word


@dataclasses.dataclass(frozen=True)
class Tensor:
  """A value of the target.

  Attributes:
    value: The value.
    shape: (height, width, channels), or (channels,) of features.
    scale: The value is multiples of this scale; None: any numbers.
    is_positive: No number is below zero.
  """

  value: Value
  shape: tuple[int, ...]
  scale: float | None = None
  is_positive: bool = False


@dataclasses.dataclass(frozen=True)
class Pending:
  """A convolution that is written once it is known what follows.

  Attributes:
    unit: The convolution.
    x: Its input.
  """

  unit: Unit
  x: Tensor


@dataclasses.dataclass(frozen=True)
class Graph:
  """`interpreter.Numbers` that writes into a target.

  Attributes:
    variables: 'params' without batch norm, and 'scales' in int8, as NumPy
      arrays, from the scope on.
    options: Read by the interpreter.
    target: What is written to.
    updated: Stays empty.
  """

  variables: Mapping[str, Any]
  options: Options
  target: Target
  updated: dict[str, Any] = dataclasses.field(default_factory=dict)

  @property
  def repeats(self) -> bool:
    """False: there is no gradient."""
    return False

  def inside(self, variables: Mapping[str, Any]) -> Self:
    """Returns a copy with other variables."""
    return dataclasses.replace(self, variables=variables)

  def convolve(self, units: Sequence[Unit], x: Tensor) -> list[Pending]:
    """Returns one unit, which `finish` or `add` writes."""
    (unit,) = units
    return [Pending(unit, x)]

  def apply(self, word: Plain, x: Tensor) -> Tensor:
    """Writes any other operation; rounds it if its input is rounded."""
    block, target = word.block, self.target
    match block:
      case v.MaxPool():
        y = target.max_pool(x.value, window_of(block, x))
      case v.AvgPool():
        window = window_of(block, x)
        y = target.average_pool(x.value, window, block.count_include_pad)
      case v.LocalResponseNorm(size, alpha, beta, bias):
        y = target.local_response_norm(x.value, size, alpha, beta, bias)
        return dataclasses.replace(x, value=y, scale=None)
      case v.SqueezeExcite():
        y = target.multiply(x.value, self._gate(word.path, x))
      case _:
        raise TypeError(f'{block!r} is not exported')
    shape = shapes.output_shape(block, grid_of(x))
    return self._rounded(dataclasses.replace(x, value=y, shape=shape), x.scale)

  def add(self, word: Shortcut, x: Tensor, residual: Pending) -> Tensor:
    """Adds the output of a residual block to its input.

    Without a gate, the projection is multiplied by the scale of the block.
    """
    if word.gate is None:
      scaled = self._written(residual, word.block.scale).value
    else:
      gated = self.apply(word.gate, self._written(residual))
      scaled = self.target.multiply(gated.value, word.block.scale)
    total = Tensor(self.target.add(x.value, scaled), x.shape)
    return self._rectified(total) if word.block.relu else total

  def finish(self, word: Word, parts: Sequence[Tensor | Pending]) -> Tensor:
    """Writes the parts that a word returned, rounded, and joins them."""
    written = [
      self._written(part) if isinstance(part, Pending) else part
      for part in parts
    ]
    match word:
      case Fork():
        rounded = [self.round(x, *word.path, 'concat') for x in written]
        channels = sum(x.shape[2] for x in rounded)
        joined = self.target.concatenate([x.value for x in rounded])
        return Tensor(
          joined,
          (*rounded[0].shape[:2], channels),
          rounded[0].scale,
          all(x.is_positive for x in rounded),
        )
      case Unit():
        return self.round(written[0], *word.path, 'output')
      case Shortcut():
        return self.round(written[0], *word.path, 'sum')
      case Plain(block=v.LocalResponseNorm()):
        return self.round(written[0], *word.path, 'norm')
    return written[0]

  def round(self, x: Tensor, *path: str) -> Tensor:
    """Rounds a tensor to the scale at a path, if there is one."""
    scale = part_at(self.variables.get('scales', {}), path)
    if isinstance(scale, Mapping):
      return x
    return self._rounded(x, float(scale))

  def dense(self, x: Tensor, path: Path) -> Tensor:
    """Writes a fully connected layer on features."""
    params = part_at(self.variables['params'], path)
    y = self.target.dense(x.value, self._kernel(params, x))
    return Tensor(y, params['kernel'].shape[-1:])

  def _rounded(self, x: Tensor, scale: float | None) -> Tensor:
    if scale is None:
      return x
    y = self.target.round(x.value, scale, x.is_positive)
    return dataclasses.replace(x, value=y, scale=scale)

  def _rectified(self, x: Tensor) -> Tensor:
    y = self.target.relu(x.value)
    return dataclasses.replace(x, value=y, is_positive=True)

  def _written(self, part: Pending, factor: float = 1.0) -> Tensor:
    """Writes a convolution whose output is multiplied by a factor."""
    conv, x = part.unit.conv, part.x
    params = part_at(self.variables['params'], part.unit.path)
    window = window_of(conv, x)
    relu = isinstance(conv, v.SeparableConv) or conv.relu
    value = x.value
    if isinstance(conv, v.SeparableConv):
      depthwise = Kernel(params['depthwise_kernel'])
      value = self.target.convolve(value, depthwise, window, x.shape[2])
      window = PIXEL
    y = self.target.convolve(value, self._kernel(params, x, factor), window)
    # The features of a projection are those of its kernel.
    height, width, _ = shapes.output_shape(conv, grid_of(x))
    z = Tensor(y, (height, width, params['kernel'].shape[-1]))
    return self._rectified(z) if relu else z

  def _kernel(
    self, params: Mapping[str, Any], x: Tensor, factor: float = 1.0
  ) -> Kernel:
    bias = params['bias'] * np.float32(factor)
    if 'kernel_scale' not in params:
      return Kernel(params['kernel'] * np.float32(factor), bias)
    scale = params['kernel_scale'] * np.float32(factor)
    return Kernel(params['kernel'], bias, scale, x.scale)

  def _gate(self, path: Path, x: Tensor) -> Value:
    """Returns the gate of a squeeze-excite, a feature per channel."""
    mean = Tensor(self.target.mean_of_grid(x.value), x.shape[2:])
    hidden = self._rectified(self.dense(mean, (*path, 'Reduce')))
    expanded = self.dense(hidden, (*path, 'Expand'))
    return self.target.grid_of(self.target.sigmoid(expanded.value))


def grid_of(x: Tensor) -> shapes.Shape:
  """Returns (height, width, channels) of a grid."""
  height, width, channels = x.shape
  return height, width, channels


def window_of(operation: shapes.Windowed, x: Tensor) -> Window:
  """Returns the windows of an operation on a grid."""
  height, width, _ = grid_of(x)
  return Window(
    shapes.kernel_size(operation, height, width),
    operation.stride,
    shapes.pads(operation, height, width),
  )

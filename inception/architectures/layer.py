"""One layer of a network: scope, shapes, parameters, cost. No JAX."""

import dataclasses
import math

from inception.architectures import vocabulary as v
from inception.architectures.shapes import Operation, Shape, kernel_size


@dataclasses.dataclass(frozen=True)
class Dense:
  """A fully connected layer; only heads and squeeze-excite have them."""

  features: int
  bias: bool = True
  batch_norm: bool = False


@dataclasses.dataclass(frozen=True)
class Layer:
  """One operation at its place in a network.

  Attributes:
    scope: path of its parameters, `Mixed_5b/Branch_1/Conv2d_0b_5x5`; of a
      layer without parameters, the path of its branch.
    operation: what it computes; with batch norm only if it really has it.
    input: (height, width, channels) that it reads, for one image.
    output: (height, width, channels) that it writes, for one image.
  """

  scope: str
  operation: Operation | Dense
  input: Shape
  output: Shape

  @property
  def weights(self) -> dict[str, tuple[int, ...]]:
    """Shapes of kernels by name: [height, width, in, out] or [in, out]."""
    height, width, channels = self.input
    match self.operation:
      case v.Conv(features):
        size = kernel_size(self.operation, height, width)
        return {'kernel': (*size, channels, features)}
      case v.SeparableConv(features, depth_multiplier=multiplier):
        size = kernel_size(self.operation, height, width)
        inner = channels * multiplier
        return {
          'depthwise_kernel': (*size, 1, inner),
          'kernel': (1, 1, inner, features),
        }
      case Dense(features):
        return {'kernel': (math.prod(self.input), features)}
    return {}

  @property
  def batch_norm_channels(self) -> int:
    """Channels of its batch norm; 0 where it has none."""
    has_one = getattr(self.operation, 'batch_norm', False)
    return self.output[2] if has_one else 0

  def parameters(
    self, batch_norm_scale: bool = True
  ) -> dict[str, tuple[int, ...]]:
    """Returns the shape of every parameter by name under the scope.

    Args:
      batch_norm_scale: batch norm has a scale (gamma) besides its bias (beta).
    """
    shapes = self.weights
    channels = self.output[2:]
    if self.batch_norm_channels:
      if batch_norm_scale:
        shapes['BatchNorm/scale'] = channels
      shapes['BatchNorm/bias'] = channels
    elif shapes and getattr(self.operation, 'bias', True):
      shapes['bias'] = channels
    return shapes

  @property
  def statistics(self) -> dict[str, tuple[int, ...]]:
    """Shape of every moving statistic by name under the scope."""
    if not self.batch_norm_channels:
      return {}
    return {'BatchNorm/mean': self.output[2:], 'BatchNorm/var': self.output[2:]}

  @property
  def macs(self) -> int:
    """Multiply-accumulates for one image; bias, norm and pooling are free."""
    grid = self.output[0] * self.output[1]
    return grid * sum(math.prod(shape) for shape in self.weights.values())

  @property
  def is_convolution(self) -> bool:
    """Whether it is a convolution, a separable one counting once."""
    return isinstance(self.operation, v.Conv | v.SeparableConv)

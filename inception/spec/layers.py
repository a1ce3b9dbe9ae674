"""One layer of an unrolled network: scope, shapes, parameters, cost."""

import dataclasses
import math

from inception.spec import vocabulary as v
from inception.spec.shapes import Shape, kernel_shapes


@dataclasses.dataclass(frozen=True)
class Dense:
  """A fully connected layer; only heads and squeeze-excite have them."""

  features: int
  bias: bool = True
  batch_norm: bool = False


@dataclasses.dataclass(frozen=True)
class Layer:
  """One operation at its position in a network.

  Attributes:
    scope: Path of its parameters, `Mixed_5b/Branch_1/Conv2d_0b_5x5`; for a
      layer without parameters, the path of its branch.
    operation: The operation.
    input: (height, width, channels) of its input, for one image.
    output: (height, width, channels) of its output, for one image.
  """

  scope: str
  operation: v.Operation | Dense
  input: Shape
  output: Shape

  @property
  def weights(self) -> dict[str, tuple[int, ...]]:
    """Shapes of kernels by name: [height, width, in, out] or [in, out]."""
    if isinstance(self.operation, Dense):
      return {'kernel': (math.prod(self.input), self.operation.features)}
    return kernel_shapes(self.operation, self.input)

  @property
  def batch_norm_channels(self) -> int:
    """Channels of its batch norm; 0 if it has none."""
    has_one = getattr(self.operation, 'batch_norm', False)
    return self.output[2] if has_one else 0

  def parameters(
    self, batch_norm_scale: bool = True
  ) -> dict[str, tuple[int, ...]]:
    """Returns the shape of every parameter by name under the scope."""
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
    """True for a convolution; a separable one counts once."""
    return isinstance(self.operation, v.Conv | v.SeparableConv)

"""The vocabulary of Inception networks: immutable plain data.

An `Architecture` is a sequence of `Stage`s; a stage holds one `Block`. Blocks
nest: `Concat` runs branches side by side, `Chain` runs blocks in series. Sizes
are `(height, width)`; an `int` means a square. Input channels are never written
down: every reader of a table infers them.
"""

import dataclasses
from typing import Literal

Size = int | tuple[int, int]

# 'SAME' and 'VALID' as in TensorFlow. 'SYMMETRIC' pads kernel // 2 on all four
# sides, as Caffe and PyTorch do; with stride 2 it samples different pixels.
Padding = Literal['SAME', 'VALID', 'SYMMETRIC']


@dataclasses.dataclass(frozen=True)
class Conv:
  """Convolution, batch norm, ReLU.

  Attributes:
    features: Output channels.
    kernel: Kernel size; `(1, 7)` is one high and seven wide.
    stride: Stride in both directions.
    padding: See `Padding`.
    batch_norm: False replaces batch norm by a bias.
    relu: False omits the ReLU.
    clip_to_grid: Shrink a kernel larger than the grid, as auxiliary heads need
      for small images.
  """

  features: int
  kernel: Size = 1
  stride: int = 1
  padding: Padding = 'SAME'
  batch_norm: bool = True
  relu: bool = True
  clip_to_grid: bool = False


@dataclasses.dataclass(frozen=True)
class SeparableConv:
  """Depthwise convolution, then 1x1; one batch norm and ReLU after both.

  Attributes are those of `Conv`; kernel and stride are the depthwise
  convolution's, which has `depth_multiplier` outputs per input channel.
  """

  features: int
  kernel: Size
  depth_multiplier: int = 1
  stride: int = 1
  padding: Padding = 'SAME'
  batch_norm: bool = True


@dataclasses.dataclass(frozen=True)
class MaxPool:
  """Max pooling; padding counts as minus infinity."""

  kernel: Size
  stride: int = 1
  padding: Padding = 'SAME'


@dataclasses.dataclass(frozen=True)
class AvgPool:
  """Average pooling.

  With 'VALID' padding, as in auxiliary heads, a window is clipped to the grid.

  Attributes:
    count_include_pad: Divide by the size of the whole window at the border, as
      torchvision does, instead of by the number of real pixels (TensorFlow).
  """

  kernel: Size
  stride: int = 1
  padding: Padding = 'SAME'
  count_include_pad: bool = False


@dataclasses.dataclass(frozen=True)
class AdaptiveAvgPool:
  """Average pooling of any grid to a square grid, as in PyTorch.

  Output row i averages the input rows from floor(i * height / size) to
  ceil((i + 1) * height / size); columns work the same way. Windows may overlap.
  """

  size: int


@dataclasses.dataclass(frozen=True)
class LocalResponseNorm:
  """x / (bias + alpha / size * sum of x^2 over `size` channels) ** beta.

  Defaults are those of the GoogLeNet released with Caffe.
  """

  size: int = 5
  alpha: float = 1e-4
  beta: float = 0.75
  bias: float = 1.0


@dataclasses.dataclass(frozen=True)
class SqueezeExcite:
  """A gate per channel, computed from the average over the whole grid.

  sigmoid(expand(relu(reduce(mean(x))))) * x, with two fully connected layers.
  The first narrows the channels by a factor of `reduction`: 16 in the SENet
  paper (Hu et al., 2018), section 3.
  """

  reduction: int

  def hidden(self, channels: int) -> int:
    """Returns the features of the narrow layer for `channels` inputs."""
    return max(1, channels // self.reduction)


Operation = (
  Conv
  | SeparableConv
  | MaxPool
  | AvgPool
  | AdaptiveAvgPool
  | LocalResponseNorm
  | SqueezeExcite
)


@dataclasses.dataclass(frozen=True, init=False)
class Chain:
  """Blocks in series: `Chain(Conv(64), Conv(96, 3))`."""

  blocks: 'tuple[Block, ...]'

  def __init__(self, *blocks: 'Block'):
    object.__setattr__(self, 'blocks', blocks)


@dataclasses.dataclass(frozen=True, init=False)
class Concat:
  """Blocks that read the same input; outputs are concatenated along channels.

  As the body of a stage, its parts are the branches `Branch_0`, `Branch_1`, ...
  Inside a branch it is a fork, and its convolutions belong to that branch.
  """

  blocks: 'tuple[Block, ...]'

  def __init__(self, *blocks: 'Block'):
    object.__setattr__(self, 'blocks', blocks)


@dataclasses.dataclass(frozen=True)
class Gated:
  """A `Concat` whose output is scaled by a gate."""

  block: Concat
  gate: SqueezeExcite


@dataclasses.dataclass(frozen=True)
class Residual:
  """relu(x + scale * gate(projection(branches(x)))).

  Inception-v4 paper, figures 10-19 and section 3.3.

  Attributes:
    branches: The block beside the shortcut.
    scale: Factor on the projection before the sum.
    relu: False omits the ReLU (last block of Inception-ResNet-v2).
    gate: Squeeze-excite before the scaled sum, or None.
  """

  branches: Concat
  scale: float
  relu: bool = True
  gate: SqueezeExcite | None = None

  def projection(self, channels: int) -> Conv:
    """Returns the linear 1x1 convolution back to the `channels` of x."""
    return Conv(channels, batch_norm=False, relu=False)


@dataclasses.dataclass(frozen=True)
class Repeat:
  """`times` equal blocks in series, named `<name>_1`, `<name>_2`, ..."""

  block: Residual
  times: int
  name: str


Block = Operation | Chain | Concat | Gated | Residual | Repeat


@dataclasses.dataclass(frozen=True)
class Stage:
  """A named block of the trunk; its output is the endpoint of that name."""

  name: str
  block: Block


@dataclasses.dataclass(frozen=True)
class AuxHead:
  """An auxiliary classifier, used in training only.

  Attributes:
    name: Scope of its parameters.
    stage: Name of the stage that it reads.
    block: The block before its fully connected layers.
    hidden: Features of a fully connected layer with ReLU on the flattened grid;
      None averages the grid and goes straight to the classifier.
    dropout: Dropout rate before the classifier.
  """

  name: str
  stage: str
  block: Block
  hidden: int | None = None
  dropout: float = 0.0


@dataclasses.dataclass(frozen=True)
class Architecture:
  """A network: a trunk of stages, a classifier, auxiliary classifiers.

  Attributes:
    input_size: Image height and width in the paper, pixels.
    stages: The trunk.
    dropout: Rate before the classifier in the paper or the released code.
    aux_heads: Auxiliary heads, in the order in which their logits are returned.
    bottleneck: Features of a linear layer with batch norm before the
      classifier (FaceNet's embedding), or None.
    num_classes: Logits of the published network.
  """

  input_size: int
  stages: tuple[Stage, ...]
  dropout: float
  aux_heads: tuple[AuxHead, ...] = ()
  bottleneck: int | None = None
  num_classes: int = 1000

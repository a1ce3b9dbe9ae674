"""The words that Inception networks are written in: immutable plain data.

An `Architecture` is a sequence of `Stage`s; a stage holds one `Block`. Blocks
nest: `Concat` runs branches side by side, `Chain` runs blocks in series. Sizes
are `(height, width)`, an `int` means a square. Channels that enter a block are
never written down: whoever reads the table infers them.
"""

import dataclasses
from typing import Literal

Size = int | tuple[int, int]

# 'SAME' and 'VALID' as in TensorFlow. 'SYMMETRIC' pads kernel // 2 on all four
# sides, as Caffe and PyTorch do: with stride 2 and an even grid it samples
# pixels that 'SAME' does not.
Padding = Literal['SAME', 'VALID', 'SYMMETRIC']


@dataclasses.dataclass(frozen=True)
class Conv:
  """Convolution, batch norm, ReLU.

  Attributes:
    features: output channels.
    kernel: kernel size; `(1, 7)` is one high and seven wide.
    stride: the same in both directions.
    padding: see `Padding`.
    batch_norm: False gives a bias in place of batch norm.
    clip_to_grid: a kernel larger than the grid shrinks to it. For heads: they
      must work on the small grid that a small image leaves.
  """

  features: int
  kernel: Size = 1
  stride: int = 1
  padding: Padding = 'SAME'
  batch_norm: bool = True
  clip_to_grid: bool = False


@dataclasses.dataclass(frozen=True)
class SeparableConv:
  """Depthwise convolution, then 1x1; one batch norm and ReLU after both.

  Attributes:
    features: output channels of the 1x1 convolution.
    kernel: kernel size of the depthwise convolution, which has the stride.
    depth_multiplier: depthwise output channels per input channel.
    stride: the same in both directions.
    padding: see `Padding`.
    batch_norm: False gives a bias in place of batch norm.
  """

  features: int
  kernel: Size
  depth_multiplier: int = 1
  stride: int = 1
  padding: Padding = 'SAME'
  batch_norm: bool = True


@dataclasses.dataclass(frozen=True)
class MaxPool:
  """Max pooling; padding never wins."""

  kernel: Size
  stride: int = 1
  padding: Padding = 'SAME'


@dataclasses.dataclass(frozen=True)
class AvgPool:
  """Average pooling.

  With 'VALID' padding the window is clipped to the grid: only heads use it, and
  they must work on the small grid that a small image leaves.

  Attributes:
    kernel: window size.
    stride: the same in both directions.
    padding: see `Padding`.
    count_border: divide by the whole window at the border, padding included
      (torchvision), instead of by the number of real pixels (TensorFlow).
  """

  kernel: Size
  stride: int = 1
  padding: Padding = 'SAME'
  count_border: bool = False


@dataclasses.dataclass(frozen=True)
class AdaptiveAvgPool:
  """Average pooling to a square grid of any input, as PyTorch does it.

  Row i of the result averages the input rows from floor(i * height / size) to
  ceil((i + 1) * height / size), columns likewise: windows may overlap.

  Attributes:
    size: height and width of the result.
  """

  size: int


@dataclasses.dataclass(frozen=True)
class LocalResponseNorm:
  """x / (bias + alpha / size * sum of x^2 over `size` channels) ** beta.

  The defaults are those of the GoogLeNet that was released with Caffe.
  """

  size: int = 5
  alpha: float = 1e-4
  beta: float = 0.75
  bias: float = 1.0


@dataclasses.dataclass(frozen=True, init=False)
class Chain:
  """Blocks in series: `Chain(Conv(64), Conv(96, 3))`."""

  blocks: 'tuple[Block, ...]'

  def __init__(self, *blocks: 'Block'):
    object.__setattr__(self, 'blocks', blocks)


@dataclasses.dataclass(frozen=True, init=False)
class Concat:
  """Blocks that read the same input; their outputs joined along channels.

  As the body of a stage its parts are the branches `Branch_0`, `Branch_1`, ...;
  inside a branch it is a fork, and its convolutions belong to that branch.
  """

  blocks: 'tuple[Block, ...]'

  def __init__(self, *blocks: 'Block'):
    object.__setattr__(self, 'blocks', blocks)


@dataclasses.dataclass(frozen=True)
class Residual:
  """relu(x + scale * project(branches(x))).

  The projection is a 1x1 convolution with bias and no batch norm, back to the
  channels of x. Inception-v4 paper, figures 10-19 and section 3.3.

  Attributes:
    branches: what is computed beside the shortcut.
    scale: factor on the projection before the sum.
    relu: False leaves the sum as it is (last block of Inception-ResNet-v2).
  """

  branches: Concat
  scale: float
  relu: bool = True


@dataclasses.dataclass(frozen=True)
class Repeat:
  """`times` equal blocks in series, named `<name>_1`, `<name>_2`, ..."""

  block: Residual
  times: int
  name: str


Block = (
  Conv
  | SeparableConv
  | MaxPool
  | AvgPool
  | AdaptiveAvgPool
  | LocalResponseNorm
  | Chain
  | Concat
  | Residual
  | Repeat
)


@dataclasses.dataclass(frozen=True)
class Stage:
  """A named block of the trunk; its output is the endpoint of that name."""

  name: str
  block: Block


@dataclasses.dataclass(frozen=True)
class AuxHead:
  """An auxiliary classifier, used in training only.

  Attributes:
    name: its scope in the parameters.
    stage: name of the stage whose output it reads.
    block: what runs before its fully connected layers.
    hidden: features of a fully connected layer with ReLU on the flattened grid;
      None averages the grid and goes straight to the classifier.
    dropout: rate before the classifier.
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
    input_size: image height and width in the paper, pixels.
    stages: the trunk.
    dropout: rate before the classifier in the paper or the released code.
    aux_heads: in the order in which their logits are returned.
    batch_norm: False gives every convolution a bias in place of batch norm.
    bottleneck: features of a linear layer with batch norm before the
      classifier (FaceNet's embedding); None has none.
    squeeze_excite: factor by which squeeze-excite narrows the channels of each
      block (SENet paper, section 3: 16); None has none.
  """

  input_size: int
  stages: tuple[Stage, ...]
  dropout: float
  aux_heads: tuple[AuxHead, ...] = ()
  batch_norm: bool = True
  bottleneck: int | None = None
  squeeze_excite: int | None = None


def height_width(size: Size) -> tuple[int, int]:
  """Returns `(height, width)` of a kernel or window."""
  return (size, size) if isinstance(size, int) else size

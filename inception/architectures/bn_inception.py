"""BN-Inception, "Batch normalization" (Ioffe and Szegedy, 2015), figure 5.

The first "Inception-v2". Grids in comments are for a 224 x 224 image.
"""

from inception.spec.vocabulary import (
  Architecture,
  AvgPool,
  Chain,
  Concat,
  Conv,
  MaxPool,
  Padding,
  SeparableConv,
  Stage,
)


def inception(
  b0: int,
  b1_reduce: int,
  b1: int,
  b2_reduce: int,
  b2: int,
  b3: int,
  pool: AvgPool | MaxPool,
) -> Concat:
  """GoogLeNet's module with two 3x3 convolutions in place of the 5x5."""
  return Concat(
    Conv(b0),
    Chain(Conv(b1_reduce), Conv(b1, 3)),
    Chain(Conv(b2_reduce), Conv(b2, 3), Conv(b2, 3)),
    Chain(pool, Conv(b3)),
  )


def reduction(
  b0_reduce: int, b0: int, b1_reduce: int, b1: int, padding: Padding
) -> Concat:
  """The module that halves the grid; no convolution follows its pooling."""
  return Concat(
    Chain(Conv(b0_reduce), Conv(b0, 3, stride=2, padding=padding)),
    Chain(Conv(b1_reduce), Conv(b1, 3), Conv(b1, 3, stride=2, padding=padding)),
    MaxPool(3, stride=2),
  )


def stages(
  conv1: Conv | SeparableConv, pool: AvgPool, padding: Padding, b3_4d_4e: int
) -> tuple[Stage, ...]:
  """The trunk.

  Args:
    conv1: The first convolution.
    pool: The average pooling inside modules.
    padding: Padding of the 3x3 convolutions with stride 2.
    b3_4d_4e: Features of the pooling branch of modules 4d and 4e (the paper's
      4c and 4d). The paper's branch columns say 128, its output columns 96.
  """
  return (
    Stage('Conv2d_1a_7x7', conv1),  # 112 x 112 x 64
    Stage('MaxPool_2a_3x3', MaxPool(3, stride=2)),  # 56 x 56 x 64
    Stage('Conv2d_2b_1x1', Conv(64)),  # 56 x 56 x 64
    Stage('Conv2d_2c_3x3', Conv(192, 3)),  # 56 x 56 x 192
    Stage('MaxPool_3a_3x3', MaxPool(3, stride=2)),  # 28 x 28 x 192
    # 28 x 28 x 256, x 320, then 14 x 14 x 576
    Stage('Mixed_3b', inception(64, 64, 64, 64, 96, 32, pool)),
    Stage('Mixed_3c', inception(64, 64, 96, 64, 96, 64, pool)),
    Stage('Mixed_4a', reduction(128, 160, 64, 96, padding)),
    # 14 x 14 x 576, x 576, x 608, x 608, then 7 x 7 x 1056
    Stage('Mixed_4b', inception(224, 64, 96, 96, 128, 128, pool)),
    Stage('Mixed_4c', inception(192, 96, 128, 96, 128, 128, pool)),
    Stage('Mixed_4d', inception(160, 128, 160, 128, 160, b3_4d_4e, pool)),
    Stage('Mixed_4e', inception(96, 128, 192, 160, 192, b3_4d_4e, pool)),
    Stage('Mixed_5a', reduction(128, 192, 192, 256, padding)),
    # 7 x 7 x 1024
    Stage('Mixed_5b', inception(352, 192, 320, 160, 224, 128, pool)),
    Stage('Mixed_5c', inception(352, 192, 320, 192, 224, 128, MaxPool(3))),
  )


# The channels of the paper's branch columns and Caffe's padding, as in all
# descendants of the network released for Caffe.
BN_INCEPTION = Architecture(
  input_size=224,
  stages=stages(
    conv1=Conv(64, 7, stride=2, padding='SYMMETRIC'),
    pool=AvgPool(3, count_include_pad=True),
    padding='SYMMETRIC',
    b3_4d_4e=128,
  ),
  dropout=0.0,
)

# TF-slim's standard scope has no batch norm for separable convolutions: the
# first layer has a bias instead.
INCEPTION_V2_SLIM = Architecture(
  input_size=224,
  stages=stages(
    conv1=SeparableConv(64, 7, depth_multiplier=8, stride=2, batch_norm=False),
    pool=AvgPool(3),
    padding='SAME',
    b3_4d_4e=96,
  ),
  dropout=0.2,
)

"""Inception-v3, "Rethinking the Inception architecture" (Szegedy et al., 2015).

Blocks and figures are the paper's; the stem is that of all released code and
weights. Grids in comments are for a 299 x 299 image.
"""

from inception.spec.vocabulary import (
  Architecture,
  AuxHead,
  AvgPool,
  Chain,
  Concat,
  Conv,
  MaxPool,
  Stage,
)

Pool = AvgPool | MaxPool


def inception_a(b3: int, pool: Pool) -> Concat:  # Figure 5; 35 x 35.
  """Two 3x3 convolutions in place of one 5x5; a 5x5 branch remains."""
  return Concat(
    Conv(64),
    Chain(Conv(48), Conv(64, 5)),
    Chain(Conv(64), Conv(96, 3), Conv(96, 3)),
    Chain(pool, Conv(b3)),
  )


def reduction_a() -> Concat:  # Figure 10; 35 x 35 to 17 x 17.
  """Convolutions and pooling with stride 2, side by side."""
  return Concat(
    Conv(384, 3, stride=2, padding='VALID'),
    Chain(Conv(64), Conv(96, 3), Conv(96, 3, stride=2, padding='VALID')),
    MaxPool(3, stride=2, padding='VALID'),
  )


def inception_b(inner: int, pool: Pool) -> Concat:  # Figure 6; 17 x 17.
  """7x7 convolutions factorized into 1x7 and 7x1."""
  return Concat(
    Conv(192),
    Chain(Conv(inner), Conv(inner, (1, 7)), Conv(192, (7, 1))),
    Chain(
      Conv(inner),
      Conv(inner, (7, 1)),
      Conv(inner, (1, 7)),
      Conv(inner, (7, 1)),
      Conv(192, (1, 7)),
    ),
    Chain(pool, Conv(192)),
  )


def reduction_b() -> Concat:  # 17 x 17 to 8 x 8.
  """Like `reduction_a`, with a factorized 7x7 convolution."""
  return Concat(
    Chain(Conv(192), Conv(320, 3, stride=2, padding='VALID')),
    Chain(
      Conv(192),
      Conv(192, (1, 7)),
      Conv(192, (7, 1)),
      Conv(192, 3, stride=2, padding='VALID'),
    ),
    MaxPool(3, stride=2, padding='VALID'),
  )


def inception_c(pool: Pool) -> Concat:  # Figure 7; 8 x 8.
  """A wider filter bank: 1x3 beside 3x1."""
  fork = Concat(Conv(384, (1, 3)), Conv(384, (3, 1)))
  return Concat(
    Conv(320),
    Chain(Conv(384), fork),
    Chain(Conv(448), Conv(384, 3), fork),
    Chain(pool, Conv(192)),
  )


# Also the stem of Inception-ResNet.
STEM = (
  Stage('Conv2d_1a_3x3', Conv(32, 3, stride=2, padding='VALID')),  # 149 x 149
  Stage('Conv2d_2a_3x3', Conv(32, 3, padding='VALID')),  # 147 x 147 x 32
  Stage('Conv2d_2b_3x3', Conv(64, 3)),  # 147 x 147 x 64
  Stage('MaxPool_3a_3x3', MaxPool(3, stride=2, padding='VALID')),  # 73 x 73
  Stage('Conv2d_3b_1x1', Conv(80)),  # 73 x 73 x 80
  Stage('Conv2d_4a_3x3', Conv(192, 3, padding='VALID')),  # 71 x 71 x 192
  Stage('MaxPool_5a_3x3', MaxPool(3, stride=2, padding='VALID')),  # 35 x 35
)


def stages(pool: Pool, last_pool: Pool) -> tuple[Stage, ...]:
  """The trunk.

  Args:
    pool: Pooling in all blocks but the last.
    last_pool: Pooling in the last block.
  """
  return (
    *STEM,
    Stage('Mixed_5b', inception_a(32, pool)),  # 35 x 35 x 256
    Stage('Mixed_5c', inception_a(64, pool)),  # 35 x 35 x 288
    Stage('Mixed_5d', inception_a(64, pool)),  # 35 x 35 x 288
    Stage('Mixed_6a', reduction_a()),  # 17 x 17 x 768
    Stage('Mixed_6b', inception_b(128, pool)),  # 17 x 17 x 768
    Stage('Mixed_6c', inception_b(160, pool)),  # 17 x 17 x 768
    Stage('Mixed_6d', inception_b(160, pool)),  # 17 x 17 x 768
    Stage('Mixed_6e', inception_b(192, pool)),  # 17 x 17 x 768
    Stage('Mixed_7a', reduction_b()),  # 8 x 8 x 1280
    Stage('Mixed_7b', inception_c(pool)),  # 8 x 8 x 2048
    Stage('Mixed_7c', inception_c(last_pool)),  # 8 x 8 x 2048
  )


def aux_head(stage: str) -> AuxHead:  # Figure 8; 17 x 17 to 5 x 5 to 1 x 1.
  """The auxiliary classifier of Inception-v3, v4 and Inception-ResNet-v2.

  Its 5x5 convolution is the paper's fully connected layer with batch norm.
  """
  return AuxHead(
    'AuxLogits',
    stage,
    Chain(
      AvgPool(5, stride=3, padding='VALID'),
      Conv(128),
      Conv(768, 5, padding='VALID', clip_to_grid=True),
    ),
  )


INCEPTION_V3 = Architecture(
  input_size=299,
  stages=stages(AvgPool(3), last_pool=AvgPool(3)),
  dropout=0.2,
  aux_heads=(aux_head('Mixed_6e'),),
)

# torchvision and timm count padding in average pooling.
INCEPTION_V3_TORCHVISION = Architecture(
  input_size=299,
  stages=stages(
    AvgPool(3, count_include_pad=True),
    last_pool=AvgPool(3, count_include_pad=True),
  ),
  dropout=0.5,
  aux_heads=(aux_head('Mixed_6e'),),
)

# The graph of 2015-12-05 that defines the Frechet Inception distance.
INCEPTION_V3_FID = Architecture(
  input_size=299,
  stages=stages(AvgPool(3), last_pool=MaxPool(3)),
  dropout=0.2,
  num_classes=1008,
)

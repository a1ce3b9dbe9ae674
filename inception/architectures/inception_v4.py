"""Inception-v4, "Inception-v4, Inception-ResNet ..." (Szegedy et al., 2016).

Figures are the paper's. Where figures and released code order 1x7 and 7x1
differently, the order is the code's, which the weights need. Grids in comments
are for a 299 x 299 image.
"""

from inception.architectures import inception_v3
from inception.spec.vocabulary import (
  Architecture,
  AvgPool,
  Chain,
  Concat,
  Conv,
  MaxPool,
  Stage,
)

# Figure 3; also the stem of the paper's Inception-ResNet-v2.
STEM = (
  *inception_v3.STEM[:3],  # 147 x 147 x 64
  Stage(  # 73 x 73 x 160
    'Mixed_3a',
    Concat(
      MaxPool(3, stride=2, padding='VALID'),
      Conv(96, 3, stride=2, padding='VALID'),
    ),
  ),
  Stage(  # 71 x 71 x 192
    'Mixed_4a',
    Concat(
      Chain(Conv(64), Conv(96, 3, padding='VALID')),
      Chain(
        Conv(64),
        Conv(64, (1, 7)),
        Conv(64, (7, 1)),
        Conv(96, 3, padding='VALID'),
      ),
    ),
  ),
  Stage(  # 35 x 35 x 384
    'Mixed_5a',
    Concat(
      Conv(192, 3, stride=2, padding='VALID'),
      MaxPool(3, stride=2, padding='VALID'),
    ),
  ),
)


def inception_a() -> Concat:  # Figure 4; 35 x 35.
  """Branches of 1x1, 3x3 and two 3x3 convolutions, and pooling."""
  return Concat(
    Conv(96),
    Chain(Conv(64), Conv(96, 3)),
    Chain(Conv(64), Conv(96, 3), Conv(96, 3)),
    Chain(AvgPool(3), Conv(96)),
  )


# k, l, m and n are the paper's names, table 1.
def reduction_a(k: int, l: int, m: int, n: int) -> Concat:  # noqa: E741
  """Figure 7; 35 x 35 to 17 x 17; also used by Inception-ResNet."""
  return Concat(
    Conv(n, 3, stride=2, padding='VALID'),
    Chain(Conv(k), Conv(l, 3), Conv(m, 3, stride=2, padding='VALID')),
    MaxPool(3, stride=2, padding='VALID'),
  )


def inception_b() -> Concat:  # Figure 5; 17 x 17.
  """7x7 convolutions factorized into 1x7 and 7x1."""
  return Concat(
    Conv(384),
    Chain(Conv(192), Conv(224, (1, 7)), Conv(256, (7, 1))),
    Chain(
      Conv(192),
      Conv(192, (7, 1)),
      Conv(224, (1, 7)),
      Conv(224, (7, 1)),
      Conv(256, (1, 7)),
    ),
    Chain(AvgPool(3), Conv(128)),
  )


def reduction_b() -> Concat:  # Figure 8; 17 x 17 to 8 x 8.
  """Like `reduction_a`, with a factorized 7x7 convolution."""
  return Concat(
    Chain(Conv(192), Conv(192, 3, stride=2, padding='VALID')),
    Chain(
      Conv(256),
      Conv(256, (1, 7)),
      Conv(320, (7, 1)),
      Conv(320, 3, stride=2, padding='VALID'),
    ),
    MaxPool(3, stride=2, padding='VALID'),
  )


def inception_c() -> Concat:  # Figure 6; 8 x 8.
  """A wider filter bank: 1x3 beside 3x1."""
  fork = Concat(Conv(256, (1, 3)), Conv(256, (3, 1)))
  return Concat(
    Conv(256),
    Chain(Conv(384), fork),
    Chain(Conv(384), Conv(448, (3, 1)), Conv(512, (1, 3)), fork),
    Chain(AvgPool(3), Conv(256)),
  )


INCEPTION_V4 = Architecture(  # Figure 9.
  input_size=299,
  stages=(
    *STEM,
    *(Stage(f'Mixed_5{i}', inception_a()) for i in 'bcde'),  # 35 x 35 x 384
    Stage('Mixed_6a', reduction_a(192, 224, 256, 384)),  # 17 x 17 x 1024
    *(Stage(f'Mixed_6{i}', inception_b()) for i in 'bcdefgh'),
    Stage('Mixed_7a', reduction_b()),  # 8 x 8 x 1536
    *(Stage(f'Mixed_7{i}', inception_c()) for i in 'bcd'),
  ),
  dropout=0.2,
  aux_heads=(inception_v3.aux_head('Mixed_6h'),),
)

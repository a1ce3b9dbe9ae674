"""GoogLeNet, "Going deeper with convolutions" (Szegedy et al., 2014), table 1.

Grids in comments are for a 224 x 224 image.
"""

from inception.spec.transforms import without_batch_norm
from inception.spec.vocabulary import (
  AdaptiveAvgPool,
  Architecture,
  AuxHead,
  AvgPool,
  Chain,
  Concat,
  Conv,
  LocalResponseNorm,
  MaxPool,
  Stage,
)


def inception(
  b2_kernel: int,
  b0: int,
  b1_reduce: int,
  b1: int,
  b2_reduce: int,
  b2: int,
  b3: int,
) -> Concat:  # Figure 2(b).
  """The Inception module: 1x1, 3x3 and 5x5 convolutions and pooling."""
  return Concat(
    Conv(b0),
    Chain(Conv(b1_reduce), Conv(b1, 3)),
    Chain(Conv(b2_reduce), Conv(b2, b2_kernel)),
    Chain(MaxPool(3), Conv(b3)),
  )


def modules(pool4: Stage, b2_kernel: int) -> tuple[Stage, ...]:  # Table 1.
  """The nine modules.

  Args:
    pool4: The pooling between the fourth and the fifth group.
    b2_kernel: 5 in the paper. TF-slim used 3 by mistake, and weights derived
      from it need 3.
  """

  def mixed(name: str, *features: int) -> Stage:
    return Stage(name, inception(b2_kernel, *features))

  return (
    mixed('Mixed_3b', 64, 96, 128, 16, 32, 32),  # 28 x 28 x 256
    mixed('Mixed_3c', 128, 128, 192, 32, 96, 64),  # 28 x 28 x 480
    Stage('MaxPool_4a_3x3', MaxPool(3, stride=2)),  # 14 x 14 x 480
    mixed('Mixed_4b', 192, 96, 208, 16, 48, 64),  # 14 x 14 x 512
    mixed('Mixed_4c', 160, 112, 224, 24, 64, 64),  # 14 x 14 x 512
    mixed('Mixed_4d', 128, 128, 256, 24, 64, 64),  # 14 x 14 x 512
    mixed('Mixed_4e', 112, 144, 288, 32, 64, 64),  # 14 x 14 x 528
    mixed('Mixed_4f', 256, 160, 320, 32, 128, 128),  # 14 x 14 x 832
    pool4,  # 7 x 7 x 832
    mixed('Mixed_5b', 256, 160, 320, 32, 128, 128),  # 7 x 7 x 832
    mixed('Mixed_5c', 384, 192, 384, 48, 128, 128),  # 7 x 7 x 1024
  )


def aux_heads(
  pool: AvgPool | AdaptiveAvgPool,
) -> tuple[AuxHead, AuxHead]:  # Section 5.
  """Auxiliary classifiers: 14 x 14 pooled to 4 x 4, 1x1, two dense layers.

  The paper counts modules from 3a: its 4a is Mixed_4b here, its 4d Mixed_4e.
  """
  block = Chain(pool, Conv(128))
  return (
    AuxHead('AuxLogits_4b', 'Mixed_4b', block, hidden=1024, dropout=0.7),
    AuxHead('AuxLogits_4e', 'Mixed_4e', block, hidden=1024, dropout=0.7),
  )


STEM = (
  Stage('Conv2d_1a_7x7', Conv(64, 7, stride=2)),  # 112 x 112 x 64
  Stage('MaxPool_2a_3x3', MaxPool(3, stride=2)),  # 56 x 56 x 64
  Stage('Conv2d_2b_1x1', Conv(64)),  # 56 x 56 x 64
  Stage('Conv2d_2c_3x3', Conv(192, 3)),  # 56 x 56 x 192
  Stage('MaxPool_3a_3x3', MaxPool(3, stride=2)),  # 28 x 28 x 192
)

# The paper normalizes after the first pooling and before the second.
STEM_WITH_RESPONSE_NORM = (
  *STEM[:2],
  Stage('LocalResponseNorm_2a', LocalResponseNorm()),
  *STEM[2:4],
  Stage('LocalResponseNorm_2c', LocalResponseNorm()),
  *STEM[4:],
)

POOL4 = Stage('MaxPool_5a_3x3', MaxPool(3, stride=2))
POOL4_SLIM = Stage('MaxPool_5a_2x2', MaxPool(2, stride=2))

AUX_HEADS = aux_heads(AvgPool(5, stride=3, padding='VALID'))

GOOGLENET = without_batch_norm(
  Architecture(
    input_size=224,
    stages=STEM_WITH_RESPONSE_NORM + modules(POOL4, b2_kernel=5),
    dropout=0.4,
    aux_heads=AUX_HEADS,
  )
)

# Batch norm in place of biases and local response norm, as in every strong
# reproduction.
INCEPTION_V1 = Architecture(
  input_size=224,
  stages=STEM + modules(POOL4, b2_kernel=5),
  dropout=0.4,
  aux_heads=AUX_HEADS,
)

INCEPTION_V1_SLIM = Architecture(
  input_size=224,
  stages=STEM + modules(POOL4_SLIM, b2_kernel=3),
  dropout=0.2,
)

INCEPTION_V1_TORCHVISION = Architecture(
  input_size=224,
  stages=(
    Stage('Conv2d_1a_7x7', Conv(64, 7, stride=2, padding='SYMMETRIC')),
    *STEM[1:],
    *modules(POOL4_SLIM, b2_kernel=3),
  ),
  dropout=0.2,
  aux_heads=aux_heads(AdaptiveAvgPool(4)),
)

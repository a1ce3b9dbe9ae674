"""Inception-ResNet-v1 and v2, "Inception-v4, Inception-ResNet ..." (2016).

Figures are the paper's. The v2 that the authors released differs from them:
`INCEPTION_RESNET_V2` is the released one. All published weights are for it, and
only it matches the cost stated in the paper. Grids in comments are for a
299 x 299 image.
"""

from inception.architectures import inception_v3, inception_v4
from inception.spec.vocabulary import (
  Architecture,
  AvgPool,
  Chain,
  Concat,
  Conv,
  MaxPool,
  Repeat,
  Residual,
  Stage,
)

# Residual scales at 35 x 35, 17 x 17 and 8 x 8, as in all released code; the
# paper, section 3.3, says between 0.1 and 0.3.
SCALE_A, SCALE_B, SCALE_C = 0.17, 0.1, 0.2


def block35(b2: int, b2_last: int) -> Residual:  # Figures 10 and 16.
  """Inception-ResNet-A, 35 x 35."""
  branches = Concat(
    Conv(32),
    Chain(Conv(32), Conv(32, 3)),
    Chain(Conv(32), Conv(b2, 3), Conv(b2_last, 3)),
  )
  return Residual(branches, SCALE_A)


def block17(b0: int, b1: int, b1_last: int) -> Residual:  # Figures 11 and 17.
  """Inception-ResNet-B, 17 x 17."""
  branches = Concat(
    Conv(b0), Chain(Conv(128), Conv(b1, (1, 7)), Conv(b1_last, (7, 1)))
  )
  return Residual(branches, SCALE_B)


def block8(b1: int, b1_last: int, last: bool = False) -> Residual:
  """Inception-ResNet-C, 8 x 8, figures 13 and 19.

  Args:
    b1: Features of the 1x3 convolution.
    b1_last: Features of the 3x1 convolution.
    last: The linear block at the end of released networks: no scale, no ReLU.
  """
  branches = Concat(
    Conv(192), Chain(Conv(192), Conv(b1, (1, 3)), Conv(b1_last, (3, 1)))
  )
  if last:
    return Residual(branches, scale=1.0, relu=False)
  return Residual(branches, SCALE_C)


def reduction_b(b1: int, b2: int, b2_last: int) -> Concat:
  """Figures 12 and 18; 17 x 17 to 8 x 8."""
  return Concat(
    Chain(Conv(256), Conv(384, 3, stride=2, padding='VALID')),
    Chain(Conv(256), Conv(b1, 3, stride=2, padding='VALID')),
    Chain(Conv(256), Conv(b2, 3), Conv(b2_last, 3, stride=2, padding='VALID')),
    MaxPool(3, stride=2, padding='VALID'),
  )


STAGES_V1 = (  # Figures 14 and 15.
  *inception_v3.STEM[:6],  # 71 x 71 x 192
  Stage('Conv2d_4b_3x3', Conv(256, 3, stride=2, padding='VALID')),  # 35 x 35
  Stage('Repeat', Repeat(block35(32, 32), 5, 'block35')),  # 35 x 35 x 256
  Stage('Mixed_6a', inception_v4.reduction_a(192, 192, 256, 384)),  # 17 x 17
  Stage('Repeat_1', Repeat(block17(128, 128, 128), 10, 'block17')),  # x 896
  Stage('Mixed_7a', reduction_b(256, 256, 256)),  # 8 x 8 x 1792
  Stage('Repeat_2', Repeat(block8(192, 192), 5, 'block8')),  # 8 x 8 x 1792
)

INCEPTION_RESNET_V1 = Architecture(
  input_size=299, stages=STAGES_V1, dropout=0.2
)

# FaceNet adds a linear block and an embedding of 512 before the classifier.
INCEPTION_RESNET_V1_FACENET = Architecture(
  input_size=160,
  stages=(*STAGES_V1, Stage('Block8', block8(192, 192, last=True))),
  dropout=0.6,
  bottleneck=512,
)

INCEPTION_RESNET_V2 = Architecture(
  input_size=299,
  stages=(
    *inception_v3.STEM,  # 35 x 35 x 192
    Stage(  # 35 x 35 x 320
      'Mixed_5b',
      Concat(
        Conv(96),
        Chain(Conv(48), Conv(64, 5)),
        Chain(Conv(64), Conv(96, 3), Conv(96, 3)),
        Chain(AvgPool(3), Conv(64)),
      ),
    ),
    Stage('Repeat', Repeat(block35(48, 64), 10, 'block35')),  # 35 x 35 x 320
    Stage('Mixed_6a', inception_v4.reduction_a(256, 256, 384, 384)),  # 17 x 17
    Stage('Repeat_1', Repeat(block17(192, 160, 192), 20, 'block17')),  # x 1088
    Stage('Mixed_7a', reduction_b(288, 288, 320)),  # 8 x 8 x 2080
    Stage('Repeat_2', Repeat(block8(224, 256), 9, 'block8')),  # 8 x 8 x 2080
    Stage('Block8', block8(224, 256, last=True)),  # 8 x 8 x 2080
    Stage('Conv2d_7b_1x1', Conv(1536)),  # 8 x 8 x 1536
  ),
  dropout=0.2,
  aux_heads=(inception_v3.aux_head('Repeat_1'),),
)

# As in the figures, except for the linear convolutions: the widths printed in
# figures 17 and 19, 1154 and 2048, cannot be added to 1152 and 2144.
INCEPTION_RESNET_V2_PAPER = Architecture(
  input_size=299,
  stages=(
    *inception_v4.STEM,  # 35 x 35 x 384
    Stage('Repeat', Repeat(block35(48, 64), 5, 'block35')),  # 35 x 35 x 384
    Stage('Mixed_6a', inception_v4.reduction_a(256, 256, 384, 384)),  # 17 x 17
    Stage('Repeat_1', Repeat(block17(192, 160, 192), 10, 'block17')),  # x 1152
    Stage('Mixed_7a', reduction_b(288, 288, 320)),  # 8 x 8 x 2144
    Stage('Repeat_2', Repeat(block8(224, 256), 5, 'block8')),  # 8 x 8 x 2144
  ),
  dropout=0.2,
)

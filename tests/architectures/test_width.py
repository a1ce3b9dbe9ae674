"""Tables at another width."""

from inception import architectures
from inception.architectures import layers
from inception.architectures import vocabulary as v
from inception.architectures.width import scale_width


def test_width_scales_every_layer_to_multiples_of_eight():
  table = architectures.get_architecture('inception_v1')
  assert scale_width(table, 1.0) is table
  narrow = scale_width(table, 0.25)
  grids = layers.stage_shapes(narrow, 224, 224)
  # 64, 128, 32 and 32 features of the branches, divided by 4.
  assert grids['Mixed_3b'] == (28, 28, 16 + 32 + 8 + 8)
  assert narrow.aux_heads[0].hidden == 256
  assert narrow.aux_heads[0].block.blocks[1] == v.Conv(32)
  wide = scale_width(table, 2.0)
  assert layers.stage_shapes(wide, 224, 224)['Mixed_5c'] == (7, 7, 2048)


def test_width_reaches_into_residual_blocks():
  residual = v.Residual(v.Concat(v.Conv(32), v.Conv(64)), scale=0.1)
  table = v.Architecture(
    8, (v.Stage('Repeat', v.Repeat(residual, 2, 'block')),), dropout=0.0
  )
  scaled = scale_width(table, 0.5).stages[0].block
  assert scaled.block.branches == v.Concat(v.Conv(16), v.Conv(32))


def test_width_reaches_the_bottleneck():
  table = architectures.get_architecture('inception_resnet_v1_facenet')
  assert scale_width(table, 0.25).bottleneck == 128

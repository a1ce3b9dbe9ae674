"""Transforms: another width, squeeze-excite, no batch norm."""

from inception import architectures
from inception.spec import unroll
from inception.spec import vocabulary as v
from inception.spec.transforms import (
  scale_width,
  with_squeeze_excite,
  without_batch_norm,
)


def test_width_scales_every_layer_to_multiples_of_eight():
  table = architectures.get_architecture('inception_v1')
  assert scale_width(table, 1.0) is table
  narrow = scale_width(table, 0.25)
  grids = unroll.stage_shapes(narrow, 224, 224)
  # 64, 128, 32 and 32 features of the branches, divided by 4.
  assert grids['Mixed_3b'] == (28, 28, 16 + 32 + 8 + 8)
  assert narrow.aux_heads[0].hidden == 256
  assert narrow.aux_heads[0].block.blocks[1] == v.Conv(32)
  wide = scale_width(table, 2.0)
  assert unroll.stage_shapes(wide, 224, 224)['Mixed_5c'] == (7, 7, 2048)


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


def test_squeeze_excite_goes_on_whole_stages_and_residual_blocks_only():
  residual = v.Residual(v.Concat(v.Conv(8)), scale=0.1)
  table = v.Architecture(
    8,
    (
      v.Stage('stem', v.Conv(8, 3)),
      v.Stage('mixed', v.Concat(v.Conv(8), v.Chain(v.Concat(v.Conv(8))))),
      v.Stage('repeat', v.Repeat(residual, 2, 'block')),
      v.Stage('last', residual),
    ),
    dropout=0.0,
    aux_heads=(v.AuxHead('aux', 'mixed', v.Concat(v.Conv(8))),),
  )
  assert with_squeeze_excite(table, None) is table
  gated = with_squeeze_excite(table, 4)
  scopes = [
    layer.scope
    for layers in unroll.stage_layers(gated, 8, 8).values()
    for layer in layers
    if layer.scope.endswith('Reduce')
  ]
  assert scopes == [
    'mixed/SqueezeExcite/Reduce',
    'repeat/block_1/SqueezeExcite/Reduce',
    'repeat/block_2/SqueezeExcite/Reduce',
    'last/SqueezeExcite/Reduce',
  ]
  assert gated.aux_heads == table.aux_heads


def test_batch_norm_is_removed_from_every_convolution():
  table = architectures.get_architecture('inception_resnet_v2')
  bare = without_batch_norm(table)
  size = table.input_size
  groups = [
    *unroll.stage_layers(bare, size, size).values(),
    *unroll.aux_layers(bare, size, size, 10).values(),
  ]
  layers = [layer for group in groups for layer in group if layer.weights]
  assert not any(layer.batch_norm_channels for layer in layers)
  assert all('bias' in layer.parameters() for layer in layers)

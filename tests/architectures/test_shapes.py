"""Tables against the grids of the papers; width; names."""

import pytest

from inception import architectures
from inception.architectures import naming, shapes
from inception.architectures import vocabulary as v
from inception.errors import UserError

# Going deeper with convolutions, table 1: output size at 224 x 224.
GRIDS_AT_224 = {
  'Conv2d_1a_7x7': (112, 112, 64),
  'MaxPool_2a_3x3': (56, 56, 64),
  'Conv2d_2b_1x1': (56, 56, 64),
  'Conv2d_2c_3x3': (56, 56, 192),
  'MaxPool_3a_3x3': (28, 28, 192),
  'Mixed_3b': (28, 28, 256),
  'Mixed_3c': (28, 28, 480),
  'MaxPool_4a_3x3': (14, 14, 480),
  'Mixed_4b': (14, 14, 512),
  'Mixed_4c': (14, 14, 512),
  'Mixed_4d': (14, 14, 512),
  'Mixed_4e': (14, 14, 528),
  'Mixed_4f': (14, 14, 832),
  'MaxPool_5a_3x3': (7, 7, 832),
  'Mixed_5b': (7, 7, 832),
  'Mixed_5c': (7, 7, 1024),
}


def test_grids_of_inception_v1_are_those_of_the_paper():
  table = architectures.get_architecture('inception_v1')
  assert shapes.stage_shapes(table, 224, 224) == GRIDS_AT_224


def test_grids_of_googlenet_have_the_response_norms_besides():
  table = architectures.get_architecture('googlenet')
  grids = shapes.stage_shapes(table, 224, 224)
  assert grids.pop('LocalResponseNorm_2a') == (56, 56, 64)
  assert grids.pop('LocalResponseNorm_2c') == (56, 56, 192)
  assert grids == GRIDS_AT_224


def test_valid_padding_names_the_stage_where_nothing_is_left():
  table = v.Architecture(
    input_size=8,
    stages=(
      v.Stage('first', v.Conv(8, 3, stride=2, padding='VALID')),
      v.Stage('second', v.Conv(8, 3, padding='VALID')),
    ),
    dropout=0.0,
  )
  assert shapes.smallest_input(table) == 7
  assert shapes.stage_shapes(table, 7, 9)['second'] == (1, 2, 8)
  with pytest.raises(ValueError, match='6x7 pixels leaves no grid at second'):
    shapes.stage_shapes(table, 6, 7)


def test_branches_must_end_in_the_same_grid():
  block = v.Concat(v.Conv(8, 3, stride=2), v.Conv(8, 3))
  with pytest.raises(ValueError, match='different grids'):
    shapes.block_shape(block, (8, 8, 3))


def test_width_scales_every_layer_to_multiples_of_eight():
  table = architectures.get_architecture('inception_v1')
  assert shapes.scale_width(table, 1.0) is table
  narrow = shapes.scale_width(table, 0.25)
  grids = shapes.stage_shapes(narrow, 224, 224)
  # 64, 128, 32 and 32 features of the branches, divided by 4.
  assert grids['Mixed_3b'] == (28, 28, 16 + 32 + 8 + 8)
  assert narrow.aux_heads[0].hidden == 256
  assert narrow.aux_heads[0].block.blocks[1] == v.Conv(32)
  wide = shapes.scale_width(table, 2.0)
  assert shapes.stage_shapes(wide, 224, 224)['Mixed_5c'] == (7, 7, 2048)


def test_width_reaches_into_residual_blocks():
  residual = v.Residual(v.Concat(v.Conv(32), v.Conv(64)), scale=0.1)
  table = v.Architecture(
    8, (v.Stage('Repeat', v.Repeat(residual, 2, 'block')),), dropout=0.0
  )
  scaled = shapes.scale_width(table, 0.5).stages[0].block
  assert scaled.block.branches == v.Concat(v.Conv(16), v.Conv(32))


def test_names_count_convolutions_along_a_branch():
  branch = v.Chain(
    v.MaxPool(3),
    v.Conv(8),
    v.Conv(8, 3),
    v.Concat(v.Conv(8, (1, 3)), v.Conv(8, (3, 1))),
    v.Conv(8, 3, stride=2, padding='VALID'),
    v.Conv(8, name='Own_name'),
  )
  assert naming.convolution_names(branch) == (
    'Conv2d_0a_1x1',
    'Conv2d_0b_3x3',
    'Conv2d_0c_1x3',
    'Conv2d_0d_3x1',
    'Conv2d_1a_3x3',
    'Own_name',
  )


def test_an_unknown_name_lists_the_known_ones():
  with pytest.raises(UserError, match='inception_v9.*googlenet, inception_v1'):
    architectures.get_architecture('inception_v9')


def test_tables_are_hashable_and_need_no_jax():
  import subprocess
  import sys

  code = (
    'import sys; from inception import get_architecture;'
    'hash(get_architecture("googlenet"));'
    'assert "jax" not in sys.modules and "flax" not in sys.modules'
  )
  subprocess.run([sys.executable, '-c', code], check=True)

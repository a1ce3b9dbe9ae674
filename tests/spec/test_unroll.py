"""Tables unrolled into layers, against the reference numbers."""

import dataclasses
import math

import pytest

from inception import architectures
from inception.errors import UserError
from inception.spec import transforms, unroll
from inception.spec import vocabulary as v
from tests import tiny
from tests.architectures.reference import (
  ENDPOINTS,
  NUMBERS,
  SQUEEZE_EXCITE,
  SQUEEZE_EXCITE_MACS,
  STAGES,
)


def trunk_and_head(name, size, classes=1000, reduction=None, **changes):
  table = architectures.get_architecture(name)
  table = dataclasses.replace(table, **changes)
  table = transforms.with_squeeze_excite(table, reduction)
  stages = unroll.stage_layers(table, size, size).values()
  head = unroll.head_layers(table, size, size, classes)
  return [layer for stage in stages for layer in stage] + list(head)


def auxiliary(name, size, classes):
  table = architectures.get_architecture(name)
  heads = unroll.aux_layers(table, size, size, classes).values()
  return [layer for head in heads for layer in head]


def parameters(some_layers, batch_norm_scale=True):
  return sum(
    math.prod(shape)
    for layer in some_layers
    for shape in layer.parameters(batch_norm_scale).values()
  )


def test_every_network_has_its_reference_numbers():
  assert set(architectures.ARCHITECTURES) - tiny.NAMES == set(NUMBERS)


@pytest.mark.parametrize('name', NUMBERS)
def test_parameters_and_cost_match_the_public_implementations(name):
  numbers = NUMBERS[name]
  table = architectures.get_architecture(name)
  assert table.num_classes == numbers.classes
  trunk = trunk_and_head(name, numbers.input_size, numbers.classes)
  aux = auxiliary(name, numbers.input_size, numbers.classes)
  assert parameters(trunk) == numbers.parameters
  assert sum(layer.macs for layer in trunk) == numbers.macs
  convolutions = sum(layer.is_convolution for layer in trunk)
  assert convolutions == numbers.convolutions
  channels = sum(layer.batch_norm_channels for layer in trunk)
  assert channels == numbers.batch_norm_channels
  assert bool(aux) == (numbers.parameters_with_aux is not None)
  if aux:
    assert parameters(trunk + aux) == numbers.parameters_with_aux
    assert sum(layer.macs for layer in aux) == numbers.macs_aux
  if numbers.beta_only is not None:
    assert parameters(trunk, False) == numbers.beta_only
  if numbers.beta_only_with_aux is not None:
    assert parameters(trunk + aux, False) == numbers.beta_only_with_aux


@pytest.mark.parametrize('name', ENDPOINTS)
def test_every_endpoint_has_the_reference_shape(name):
  table = architectures.get_architecture(name)
  size = NUMBERS[name].input_size
  assert (
    list(unroll.stage_shapes(table, size, size).values()) == (ENDPOINTS[name])
  )


@pytest.mark.parametrize('name', STAGES)
def test_every_stage_has_the_reference_cost(name):
  table = architectures.get_architecture(name)
  size = NUMBERS[name].input_size
  costs = []
  for stage in unroll.stage_layers(table, size, size).values():
    channels = sum(layer.batch_norm_channels for layer in stage)
    # Without scale and bias of batch norm.
    weights = parameters(stage) - 2 * channels
    costs.append((weights, channels, sum(layer.macs for layer in stage)))
  assert [cost for cost in costs if cost[2]] == STAGES[name]


@pytest.mark.parametrize('name', SQUEEZE_EXCITE)
def test_squeeze_excite_adds_the_reference_parameters(name):
  numbers = NUMBERS[name]
  with_it = trunk_and_head(name, numbers.input_size, reduction=16)
  added = parameters(with_it) - numbers.parameters
  assert added == SQUEEZE_EXCITE[name]
  if name in SQUEEZE_EXCITE_MACS:
    assert sum(layer.macs for layer in with_it) == SQUEEZE_EXCITE_MACS[name]


def test_se_bn_inception_is_the_released_network():
  assert parameters(trunk_and_head('bn_inception', 224, reduction=16)) == (
    11_931_622
  )


def test_facenet_topology_without_its_bottleneck():
  name = 'inception_resnet_v1_facenet'
  direct = trunk_and_head(name, 299, bottleneck=None)
  assert parameters(direct) == 24_357_096
  assert parameters(direct, False) == 24_342_808
  assert sum(layer.macs for layer in direct) == 6_308_597_856


def test_1001_classes_of_tf_slim():
  for name, wanted in {
    'inception_v1_slim': 6_618_649,
    'inception_v2_slim': 11_179_361,
    'inception_v3': 23_819_401,
    'inception_v4': 42_649_769,
    'inception_resnet_v2': 55_814_729,
  }.items():
    size = NUMBERS[name].input_size
    assert parameters(trunk_and_head(name, size, 1001), False) == wanted


@pytest.mark.parametrize(
  'name, smallest', [('inception_v1', 1), ('inception_v3', 75)]
)
def test_smallest_input(name, smallest):
  table = architectures.get_architecture(name)
  assert unroll.smallest_input(table) == smallest
  with pytest.raises(ValueError, match='has no output'):
    unroll.stage_shapes(table, smallest - 1, smallest - 1)


def test_valid_padding_names_the_stage_where_nothing_is_left():
  table = v.Architecture(
    input_size=8,
    stages=(
      v.Stage('first', v.Conv(8, 3, stride=2, padding='VALID')),
      v.Stage('second', v.Conv(8, 3, padding='VALID')),
    ),
    dropout=0.0,
  )
  assert unroll.smallest_input(table) == 7
  assert unroll.stage_shapes(table, 7, 9)['second'] == (1, 2, 8)
  with pytest.raises(ValueError, match='second .* 6x7'):
    unroll.stage_shapes(table, 6, 7)


def test_branches_must_end_in_the_same_grid():
  block = v.Concat(v.Conv(8, 3, stride=2), v.Conv(8, 3))
  table = v.Architecture(8, (v.Stage('stage', block),), dropout=0.0)
  with pytest.raises(ValueError, match='different grids'):
    unroll.stage_shapes(table, 8, 8)


def test_a_residual_block_cannot_be_in_a_branch():
  block = v.Chain(v.Residual(v.Concat(v.Conv(8)), 0.1))
  table = v.Architecture(8, (v.Stage('stage', block),), dropout=0.0)
  with pytest.raises(TypeError, match='cannot be inside a branch'):
    unroll.stage_shapes(table, 8, 8)


def test_layers_come_in_the_order_of_definition():
  table = architectures.get_architecture('inception_resnet_v2')
  scopes = [
    layer.scope
    for layer in unroll.stage_layers(table, 299, 299)['Repeat']
    if layer.is_convolution
  ]
  assert scopes[:8] == [
    'Repeat/block35_1/Branch_0/Conv2d_0a_1x1',
    'Repeat/block35_1/Branch_1/Conv2d_0a_1x1',
    'Repeat/block35_1/Branch_1/Conv2d_0b_3x3',
    'Repeat/block35_1/Branch_2/Conv2d_0a_1x1',
    'Repeat/block35_1/Branch_2/Conv2d_0b_3x3',
    'Repeat/block35_1/Branch_2/Conv2d_0c_3x3',
    'Repeat/block35_1/Conv2d_1x1',
    'Repeat/block35_2/Branch_0/Conv2d_0a_1x1',
  ]


def test_names_count_convolutions_along_a_branch():
  branch = v.Chain(
    v.MaxPool(3),
    v.Conv(8),
    v.Conv(8, 3),
    v.Concat(v.Conv(8, (1, 3)), v.Conv(8, (3, 1))),
    v.Conv(8, 3, stride=2, padding='VALID'),
  )
  names = [layer.scope for layer in unroll.block_layers(branch, (8, 8, 3))]
  assert names == [
    'block',  # Pooling takes the letter 0a.
    'block/Conv2d_0b_1x1',
    'block/Conv2d_0c_3x3',
    'block/Conv2d_0d_1x3',
    'block/Conv2d_0e_3x1',
    'block/Conv2d_1a_3x3',
  ]


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


def test_a_block_costs_less_than_one_convolution():
  """GoogLeNet paper, table 1: module 3a; biases are not counted."""
  network = architectures.get_architecture('inception_v1')
  module = next(s.block for s in network.stages if s.name == 'Mixed_3b')
  macs = [
    sum(layer.macs for layer in unroll.block_layers(block, (28, 28, 192)))
    for block in (module, v.Conv(256, 3), v.Conv(256, 5))
  ]
  assert macs == [128_049_152, 346_816_512, 963_379_200]

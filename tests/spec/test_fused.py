"""Fusing: which convolutions run as one, and where max poolings move."""

import dataclasses

import pytest

from inception import architectures
from inception.spec import fused, unroll
from inception.spec import vocabulary as v
from tests import tiny  # noqa: F401  Defines a network.


def block(*blocks):
  """Returns the words of stages that hold these blocks."""
  stages = tuple(v.Stage(f's{i}', b) for i, b in enumerate(blocks))
  groups = fused.fuse(v.Architecture(32, stages, dropout=0.0))
  return [(group.stages, group.words) for group in groups]


def paths(words):
  """Yields the scope of every convolution in fused words."""
  for word in words:
    match word:
      case fused.Unit():
        yield '/'.join(word.path)
      case fused.Fork(joined, branches):
        for branch in branches:
          if branch.start is not None:
            yield '/'.join(joined[branch.start].path)
          yield from paths(branch.words)
      case fused.Shortcut():
        yield from paths(word.words)
        yield '/'.join(word.projection)
        if word.gate:
          yield from gate_paths(word.gate)
      case fused.Gate():
        yield from gate_paths(word)
      case fused.Loop():
        for name in word.names:
          for path in paths(word.words):
            yield '/'.join((*word.path, name, path))


def gate_paths(gate):
  for name in ('Reduce', 'Expand'):
    yield '/'.join((*gate.path, name))


@pytest.mark.parametrize('name', architectures.ARCHITECTURES)
def test_every_layer_keeps_its_scope_and_its_place(name):
  table = architectures.get_architecture(name)
  size = table.input_size
  layers = unroll.stage_layers(table, size, size)
  scopes = [layer.scope for part in layers.values() for layer in part]
  convolutions = [s for s in scopes if 'Conv2d' in s or 'SqueezeExcite' in s]
  words = [word for group in fused.fuse(table) for word in group.words]
  assert list(paths(words)) == convolutions


def test_1x1_convolutions_of_one_input_are_joined():
  module = v.Concat(
    v.Conv(8),
    v.Chain(v.Conv(4), v.Conv(8, 3)),
    v.Chain(v.AvgPool(3), v.Conv(6)),
    v.Chain(v.MaxPool(3), v.Conv(5)),
    v.Conv(7, 3),
    v.Conv(9, stride=2),
  )
  [(_, (fork,))] = block(module)
  assert [unit.conv.features for unit in fork.joined] == [8, 4, 6]
  assert [unit.average for unit in fork.joined] == [None, None, v.AvgPool(3)]
  assert [branch.start for branch in fork.branches] == [
    0,
    1,
    2,
    None,
    None,
    None,
  ]
  assert fork.branches[0].words == ()
  assert fork.branches[3].words[0] == v.MaxPool(3)


def test_an_average_that_changes_the_grid_stays_where_it_is():
  pool = v.AvgPool(3, stride=2)
  module = v.Concat(
    v.Chain(v.Conv(4), v.Conv(8, 3, stride=2)),
    v.Chain(v.Conv(4), v.Conv(8, 3, stride=2)),
    v.Chain(pool, v.Conv(6)),
  )
  [(_, (fork,))] = block(module)
  assert len(fork.joined) == 2
  assert fork.branches[2].words[0] == pool


def test_one_1x1_convolution_is_left_alone():
  [(_, (fork,))] = block(v.Concat(v.Conv(8), v.MaxPool(3)))
  assert fork.joined == ()


def test_a_max_pooling_moves_into_the_convolution_before_it():
  pool = v.MaxPool(3, stride=2)
  [(stages, (unit,)), (_, (other,))] = block(v.Conv(8, 3), pool, v.Conv(4))
  assert stages == ('s0', 's1')
  assert unit.maximum == pool
  assert other.maximum is None


def test_a_max_pooling_moves_into_every_branch():
  pool = v.MaxPool(3, stride=2)
  average = v.Chain(v.AvgPool(3), v.Conv(6))
  module = v.Concat(v.Conv(8), v.Chain(v.Conv(4), v.Conv(8, 3)), average)
  [(_, (fork,))] = block(module, pool)
  assert [unit.maximum for unit in fork.joined] == [pool, None, pool]
  assert fork.branches[1].words[0].maximum == pool


def test_a_pooling_that_keeps_the_grid_stays_where_it_is():
  pool = v.MaxPool(3)
  [(_, (unit,)), (_, words)] = block(v.Conv(8, 3), pool)
  assert unit.maximum is None
  assert words == (pool,)


def test_a_gate_sees_the_whole_grid():
  gated = v.Gated(v.Concat(v.Conv(8), v.Conv(8)), v.SqueezeExcite(4))
  pool = v.MaxPool(3, stride=2)
  [(_, (fork, gate, last))] = block(gated, pool)
  assert all(unit.maximum is None for unit in fork.joined)
  assert isinstance(gate, fused.Gate)
  assert last == pool


def test_what_an_auxiliary_head_reads_is_computed():
  stages = (v.Stage('a', v.Conv(8, 3)), v.Stage('b', v.MaxPool(3, stride=2)))
  head = v.AuxHead('aux', 'a', v.Conv(4))
  table = v.Architecture(32, stages, dropout=0.0, aux_heads=(head,))
  assert [group.stages for group in fused.fuse(table)] == [('a',), ('b',)]
  without = dataclasses.replace(table, aux_heads=())
  assert [group.stages for group in fused.fuse(without)] == [('a', 'b')]

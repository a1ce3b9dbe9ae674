"""Rules: which convolutions run as one, and where poolings move."""

import dataclasses

import pytest

from inception import architectures
from inception.spec import rules, unroll
from inception.spec import vocabulary as v
from inception.spec.words import Fork, Loop, Plain, Shortcut, Unit
from tests import tiny  # noqa: F401  Defines a network.


def words(*blocks, rule=None):
  """Returns the words of the groups of stages that hold these blocks."""
  stages = tuple(v.Stage(f's{i}', b) for i, b in enumerate(blocks))
  in_force = (rule,) if rule else rules.RULES
  groups = rules.trunk(v.Architecture(32, stages, dropout=0.0), in_force)
  return [group.words for group in groups]


def paths(series, parent=()):
  """Yields the scope of every layer with parameters, in order."""
  for word in series:
    match word:
      case Unit(path=path):
        yield '/'.join((*parent, *path))
      case Plain(v.SqueezeExcite(), path):
        yield from ('/'.join((*parent, *path, n)) for n in ('Reduce', 'Expand'))
      case Fork(branches=branches):
        for branch in branches:
          yield from paths(branch, parent)
      case Shortcut():
        yield from paths(word.words, parent)
        yield from paths([word.gate] if word.gate else [], parent)
      case Loop():
        for name in word.names:
          yield from paths(word.words, (*parent, *word.path, name))


@pytest.mark.parametrize('name', architectures.ARCHITECTURES)
def test_every_layer_keeps_its_scope_and_order(name):
  table = architectures.get_architecture(name)
  size = table.input_size
  layers = unroll.stage_layers(table, size, size)
  scopes = [layer.scope for part in layers.values() for layer in part]
  groups = rules.trunk(table)
  found = [
    path
    for group in groups
    for path in paths(group.words, (group.stages[0].name,))
  ]
  assert found == [s for s in scopes if 'Conv2d' in s or 'SqueezeExcite' in s]


def test_without_rules_every_stage_runs_as_the_table_says():
  table = architectures.get_architecture('inception_v1')
  groups = rules.trunk(table, ())
  assert [group.stages for group in groups] == [(s,) for s in table.stages]
  forks = [w for g in groups for w in g.words if isinstance(w, Fork)]
  assert len(forks) == 9 and not any(fork.joined for fork in forks)


def test_1x1_convolutions_of_one_input_are_joined():
  module = v.Concat(
    v.Conv(8),
    v.Chain(v.Conv(4), v.Conv(8, 3)),
    v.Chain(v.MaxPool(3), v.Conv(5)),
    v.Conv(6),
    v.Conv(7, 3),
    v.Conv(9, stride=2),
    v.Chain(),
  )
  [(fork,)] = words(module, rule=rules.join_convolutions)
  assert fork.joined == (0, 1, 3)


def test_one_1x1_convolution_is_left_alone():
  [(fork,)] = words(v.Concat(v.Conv(8), v.MaxPool(3)))
  assert fork.joined == ()


def test_an_average_moves_after_the_1x1_convolution_that_reads_it():
  pool = v.AvgPool(3)
  rule = rules.average_after_convolution
  [(fork,)] = words(v.Concat(v.Chain(pool, v.Conv(6))), rule=rule)
  [(unit,)] = fork.branches
  assert unit.average == pool
  [(first, second)] = words(v.Chain(pool, v.Conv(6, 3)), rule=rule)
  assert first.block == pool and second.average is None
  [(fork,)] = words(v.Concat(v.Conv(8), v.Chain(pool, v.Conv(6))))
  assert fork.joined == (0, 1)


@pytest.mark.parametrize('fields', [{'stride': 2}, {'padding': 'VALID'}])
def test_an_average_that_changes_the_grid_stays_where_it_is(fields):
  pool = v.AvgPool(3, **fields)
  conv = v.Conv(4, 3, **fields)
  module = v.Concat(conv, conv, v.Chain(pool, v.Conv(6)))
  [(fork,)] = words(module)
  assert fork.joined == ()
  assert fork.branches[2][0].block == pool


def test_a_max_pooling_moves_into_the_convolution_before_it():
  pool = v.MaxPool(3, stride=2)
  rule = rules.pool_before_norm
  [(unit,), (other,)] = words(v.Conv(8, 3), pool, v.Conv(4), rule=rule)
  assert unit.maximum == pool
  assert other.maximum is None
  [(unit, plain)] = words(v.Chain(v.Conv(8), pool, pool), rule=rule)
  assert unit.maximum == plain.block == pool


def test_a_max_pooling_moves_into_every_branch():
  pool = v.MaxPool(3, stride=2)
  fork = v.Concat(v.Conv(2, (1, 3)), v.Conv(2, (3, 1)))
  module = v.Concat(v.Conv(8), v.AvgPool(3), v.Chain(v.Conv(4), fork))
  [(fork,)] = words(module, pool, rule=rules.pool_in_branches)
  first, second, (_, inner) = fork.branches
  for branch in (first, second, *inner.branches):
    assert [word.block for word in branch[1:]] == [pool]
  [(fork,)] = words(module, pool)
  assert [unit.maximum for (unit,) in fork.branches[2][1].branches] == [
    pool
  ] * 2


def test_a_pooling_that_keeps_the_grid_stays_where_it_is():
  pool = v.MaxPool(3)
  [(unit,), (plain,)] = words(v.Conv(8, 3), pool)
  assert unit.maximum is None
  assert plain.block == pool


def test_a_gate_sees_the_whole_grid():
  gate, pool = v.SqueezeExcite(4), v.MaxPool(3, stride=2)
  gated = v.Gated(v.Concat(v.Conv(8), v.Conv(8)), gate)
  [(fork, *others)] = words(gated, pool)
  assert all(unit.maximum is None for (unit,) in fork.branches)
  assert [word.block for word in others] == [gate, pool]


def test_a_grid_that_is_read_is_computed():
  stages = (v.Stage('a', v.Conv(8, 3)), v.Stage('b', v.MaxPool(3, stride=2)))
  head = v.AuxHead('aux', 'a', v.Conv(4))
  table = v.Architecture(32, stages, dropout=0.0, aux_heads=(head,))
  assert len(rules.trunk(table)) == 2
  without = dataclasses.replace(table, aux_heads=())
  assert len(rules.trunk(without)) == 1
  assert len(rules.trunk(without, endpoints=True)) == 2

"""Sweep definitions, and the runs they expand to."""

import pytest

from inception.config import default
from inception.errors import UserError
from inception.sweeps import grid, hyper

BASE = grid.Base(
  'configs/default.py', 'configs/default.py', default.get_config(), {}
)


def test_the_last_sweep_of_a_product_changes_fastest():
  sweep = hyper.product(
    [hyper.sweep('a', [1, 2]), hyper.zipit([hyper.sweep('b', 'xy')] * 1)]
  )
  assert sweep == [
    {'a': 1, 'b': 'x'},
    {'a': 1, 'b': 'y'},
    {'a': 2, 'b': 'x'},
    {'a': 2, 'b': 'y'},
  ]


def test_zipped_and_chained_sweeps():
  a, b = hyper.sweep('a', [1, 2]), hyper.sweep('b', [3, 4])
  assert hyper.zipit([a, b]) == [{'a': 1, 'b': 3}, {'a': 2, 'b': 4}]
  assert hyper.chainit([a, b]) == [{'a': 1}, {'a': 2}, {'b': 3}, {'b': 4}]
  assert hyper.zipit([a, hyper.fixed('c', 0, 2)])[1] == {'a': 2, 'c': 0}
  with pytest.raises(UserError, match='1 and 2'):
    hyper.zipit([a, hyper.fixed('c', 0)])
  with pytest.raises(UserError, match='a is swept twice'):
    hyper.product([a, a])


@pytest.mark.parametrize('make', [hyper.uniform, hyper.log_uniform])
def test_intervals_must_not_be_empty(make):
  assert make(1, 2).high == 2
  with pytest.raises(UserError, match='finite low < high'):
    make(2, 1)
  with pytest.raises(UserError, match='low > 0'):
    hyper.log_uniform(0, 1)


@pytest.mark.parametrize(
  'text, expected',
  [
    ('model.width=0.5,1', [0.5, 1.0]),
    ('seed=1,2', [1, 2]),
    ('data.flip=true,False', [True, False]),
    ('precision=float32,bfloat16', ['float32', 'bfloat16']),
    ('data.crop_area=(0.1, 1.0),(1,1)', [(0.1, 1.0), (1, 1)]),
    ('model.dropout=uniform(0, 0.5)', hyper.uniform(0, 0.5)),
    ('model.dropout=log_uniform(1e-3,0.5)', hyper.log_uniform(1e-3, 0.5)),
  ],
)
def test_values_have_the_type_of_the_field(text, expected):
  field, values = grid.parse(text)
  assert field == text.partition('=')[0] and values == expected


@pytest.mark.parametrize(
  'text, message',
  [
    ('model.width', 'has no values; try'),
    ('model.width=', 'has no values; try'),
    ('model.width=a', 'is not of type float'),
    ('data.flip=2', 'is not of type bool'),
    ('model.width=uniform(a, b)', 'needs numeric LOW and HIGH'),
  ],
)
def test_wrong_values_are_refused(text, message):
  with pytest.raises(UserError, match=message):
    grid.parse(text)


@pytest.mark.parametrize(
  'overrides, message',
  [
    (
      {'model.wdith': 1.0},
      'no such config field: model.wdith; did you mean mo',
    ),
    ({'model.width': 'a'}, 'is of type str, which the field does not take'),
    ({'model.width': -1.0}, 'model.width=-1.0 is out of range'),
    ({'model.architecture': 'vgg'}, "'vgg'"),
    ({'optimizer.name': 'lion'}, "optimizer.name='lion' is not one of"),
    (
      {'data.image_size': 30, 'model.architecture': 'inception_v3'},
      'data.image_size=30 is too small',
    ),
    ({'batch_size': None}, 'batch_size'),
  ],
)
def test_every_run_is_checked_before_the_first_one(overrides, message):
  with pytest.raises(UserError, match=message):
    grid.make_runs(BASE, [{}, overrides])


def test_names_are_readable_and_unique():
  sweep = hyper.product(
    [
      hyper.sweep('model.architecture', ['googlenet', 'inception_v1']),
      hyper.sweep('model.width', [0.5, 1.0]),
      hyper.sweep('pretrained', ['/a/w', '/b/w']),
    ]
  )
  names = [run.name for run in grid.make_runs(BASE, sweep)]
  assert len(set(names)) == 8
  assert names[0].startswith('googlenet-width0.5-w-')
  assert names == [run.name for run in grid.make_runs(BASE, sweep)]
  other = grid.Base(
    'configs/default.py', 'configs/default.py', BASE.config, {'seed': 3}
  )
  assert names[0] != grid.make_runs(other, sweep)[0].name


def test_equal_runs_run_once(capsys):
  runs = grid.make_runs(BASE, [{'seed': 1}, {'seed': 1}])
  assert len(runs) == 1
  assert '1 duplicate run of the sweep is skipped' in capsys.readouterr().err
  with pytest.raises(UserError, match='the sweep is empty'):
    grid.make_runs(BASE, [])


def test_flags_are_those_of_the_command_line():
  (run,) = grid.make_runs(
    grid.Base('f.py', 'f.py', BASE.config, {'seed': 3}),
    [{'data.crop_area': [0.5, 1.0], 'data.flip': False, 'num_steps': None}],
  )
  assert run.flags == (
    '--config=f.py',
    '--config.seed=3',
    '--config.data.crop_area=(0.5, 1.0)',
    '--config.data.flip=False',
  )

"""Configs: valid defaults, errors that name the field, comparison."""

import importlib

import jax
from ml_collections import ConfigDict
import pytest

from configs import default, digits
from inception import get_architecture
from inception.config import compare
from inception.errors import UserError
from inception.training import check

# The checks only count the devices.
EIGHT = jax.devices()[:1] * 8

FAMILIES = {
  'googlenet': ('inception_v1', 'googlenet'),
  'bn_inception': ('bn_inception', 'bn_inception'),
  'inception_v3': ('inception_v3', 'inception_v3'),
  'inception_v4': ('inception_v4', 'inception_v4'),
  'inception_resnet_v1': ('inception_resnet_v1', 'inception_resnet_v1'),
  'inception_resnet_v2': ('inception_resnet_v2', 'inception_resnet_v2'),
}


@pytest.mark.parametrize('name', ['default', 'digits'])
def test_the_configs_of_the_project_are_valid(name):
  config = importlib.import_module(f'configs.{name}').get_config()
  check.check_run(config, EIGHT)


@pytest.mark.parametrize('name', FAMILIES)
def test_every_family_has_a_modern_recipe_and_a_paper_recipe(name):
  module = importlib.import_module(f'configs.{name}')
  modern, paper = module.get_config(), module.get_config('paper')
  architectures = modern.model.architecture, paper.model.architecture
  assert architectures == FAMILIES[name]
  for config in (modern, paper):
    check.check_run(config, EIGHT)
    table = get_architecture(config.model.architecture)
    assert config.data.image_size == table.input_size
  peak = modern.schedule.base_learning_rate * modern.batch_size / 256
  assert (modern.num_epochs, modern.data.mixup_alpha, peak) == (200, 0.2, 0.4)
  with pytest.raises(UserError, match="recipe='fast'.*modern, paper"):
    module.get_config('fast')


def test_the_papers_recipe_is_rmsprop_with_staircase_clipping_and_average():
  config = importlib.import_module('configs.inception_v3').get_config('paper')
  optimizer, schedule = config.optimizer, config.schedule
  assert optimizer.name == 'rmsprop'
  assert optimizer.momentum == optimizer.rmsprop_decay == 0.9
  assert optimizer.rmsprop_epsilon == 1.0 and optimizer.clip_norm == 2.0
  assert optimizer.ema_decay == 0.9999 and config.data.mixup_alpha == 0
  peak = schedule.base_learning_rate * (
    config.batch_size / schedule.base_batch_size
  )
  assert (schedule.name, schedule.decay_rate, peak) == (
    'staircase',
    0.94,
    0.045,
  )


@pytest.mark.parametrize(
  'field, value, message',
  [
    ('precision', 'float8', "precision='float8' is not one of float32"),
    ('model.architecture', 'vgg', "'vgg'"),
    ('model.head_pooling', 'median', 'model.head_pooling'),
    ('model.initializer', 'zeros', 'model.initializer'),
    ('optimizer.name', 'adam', 'sgd, rmsprop'),
    ('schedule.name', 'poly', 'cosine, staircase, constant'),
    ('batch_size', 0, 'batch_size=0 .* at least 1'),
    ('batch_size', 30, '30 does not split over 8 .*batch_size=24'),
    ('batch_size', 3, '3 does not split over 8 .*batch_size=8'),
    ('num_epochs', -1.0, 'num_epochs'),
    ('num_steps', 0, 'num_steps'),
    ('model.dropout', 1.0, 'at least 0 and below 1'),
    ('model.width', 0.0, 'model.width'),
    ('optimizer.ema_decay', 1.5, 'optimizer.ema_decay'),
    ('data.crop_pct', 1.2, 'at least 0.1 and at most 1'),
    ('data.crop_area', (0.5,), r"data.crop_area=\(0.5,\) .*'\(0.5, 1.0\)'"),
    ('data.crop_area', (0.9, 0.5), 'data.crop_area'),
    ('data.crop_area', (0.5, 1.5), 'data.crop_area'),
    ('data.crop_aspect', (0.0, 1.0), 'data.crop_aspect'),
    ('data.image_size', 0, 'data.image_size'),
    ('data.eval_transform', 'caffe', 'inception, .*slim, torchvision'),
    ('data.interpolation', 'area', 'bilinear, bicubic, bilinear_tf1'),
    ('data.channel_order', 'GBR', 'RGB, BGR'),
    ('data.mixup_alpha', -0.1, 'data.mixup_alpha'),
    ('data.mixup_alpha', float('inf'), 'data.mixup_alpha=inf'),
    ('data.std', ('a', 'b', 'c'), 'data.std=.* three numbers'),
    ('data.mean', (1.0,), 'data.mean=.* must be three numbers'),
    ('data.std', (1.0, 0.0, 1.0), 'data.std=.* from 0.001 to'),
    ('model.squeeze_excite', 0, 'model.squeeze_excite'),
    ('freeze_through', 'Mixed_9z', 'is not a stage; .* Conv2d_1a_7x7'),
    ('freeze_through', 'Mixed_3b', 'without pretrained'),
    # Values that would make a run hang, be killed, or overflow.
    ('data.image_size', 100_000, 'data.image_size=100000 .* at most 4096'),
    ('model.width', 1000.0, 'model.width=1000.0 .* at most 16'),
    ('batch_size', 2**31, 'batch_size=2147483648 .* at most 1048576'),
    ('num_epochs', 1e300, 'num_epochs=1e\\+300'),
    ('num_steps', 2**31, 'num_steps=2147483648'),
    ('checkpoint.on_full', 'hope', 'stop, continue'),
    ('divergence.skip_updates', -1, 'divergence.skip_updates'),
    ('distributed.timeout_seconds', 0.0, 'distributed.timeout_seconds'),
    ('data.crop_aspect', (1e-30, 1e30), 'data.crop_aspect'),
  ],
)
def test_a_bad_field_is_reported_with_its_value(field, value, message):
  config = digits.get_config()
  config.update_from_flattened_dict({field: value})
  with pytest.raises(UserError, match=message):
    check.check_run(config, EIGHT)


def test_an_input_that_leaves_no_grid_is_refused(monkeypatch):
  from inception import architectures
  from inception.spec import vocabulary as v

  table = v.Architecture(
    8, (v.Stage('stem', v.Conv(8, 7, padding='VALID')),), dropout=0.0
  )
  monkeypatch.setitem(architectures.ARCHITECTURES, 'valid', table)
  config = digits.get_config()
  config.model.architecture, config.data.image_size = 'valid', 6
  with pytest.raises(UserError, match='valid.* 7'):
    check.check_run(config, EIGHT[:1])


def test_json_keeps_every_field_even_unset_ones():
  config = default.get_config()
  again = compare.from_json(compare.to_json(config))
  assert compare.differences(config, again) == []
  assert again.num_steps is None and list(again.data.crop_area) == [0.08, 1.0]


def test_differences_name_fields_and_both_values():
  old, new = default.get_config(), default.get_config()
  new.model.width = 0.5
  new.num_steps = 7
  assert compare.differences(old, new) == [
    'model.width: 1.0, now 0.5',
    'num_steps: None, now 7',
  ]


def test_a_misspelled_field_of_a_config_file_is_an_error():
  config = default.get_config()
  with pytest.raises(AttributeError, match='weight_decay'):
    config.optimizer.weight_decy = 1e-3
  # Also in an unlocked config.
  config.unlock()
  config.optimizer.weight_decy = 1e-3
  with pytest.raises(UserError, match='optimizer.weight_decy.*weight_decay'):
    check.check_run(config, EIGHT)


def test_a_missing_field_or_a_wrong_type_is_an_error():
  tree = default.get_config().to_dict()
  del tree['seed']
  with pytest.raises(UserError, match='seed'):
    check.check_run(ConfigDict(tree), EIGHT)
  for field, value in {'seed': '1', 'num_epochs': True, 'precision': 3}.items():
    tree = {**default.get_config().to_dict(), field: value}
    with pytest.raises(UserError, match=f'{field}='):
      check.check_run(ConfigDict(tree), EIGHT)
  config = default.get_config()
  config.batch_size = None
  with pytest.raises(UserError, match='batch_size'):
    check.check_run(config, EIGHT)


def test_a_batch_too_large_for_any_host_is_refused():
  config = digits.get_config()
  config.batch_size, config.data.image_size = 2**20, 64
  with pytest.raises(UserError, match='12 GiB'):
    check.check_run(config, EIGHT)


def test_a_large_evaluation_image_is_refused():
  config = digits.get_config()
  config.data.image_size, config.data.crop_pct = 4096, 0.2
  check.check_run(config, EIGHT)
  config.data.eval_transform = 'torchvision'
  with pytest.raises(UserError, match='20,480 .* 8,192'):
    check.check_run(config, EIGHT)


def test_fields_that_do_not_change_the_result_may_differ():
  old, new = default.get_config(), default.get_config()
  for field, value in {
    'watchdog_minutes': 1.0,
    'keep_checkpoints': 9,
    'checkpoint_every_minutes': 2.0,
  }.items():
    new[field] = value
  new.checkpoint.on_full = 'continue'
  assert compare.differences(old, new) == []


def small(batch_size, parts, image_size=32):
  config = default.get_config()
  config.model.architecture, config.model.width = 'inception_v1', 0.1
  config.data.image_size = image_size
  config.batch_size, config.accumulation_steps = batch_size, parts
  config.schedule.warmup_epochs = 0.0
  return config


def test_batch_norm_of_one_value_is_refused_unless_the_run_has_begun(capsys):
  config, one = small(4, 4), jax.devices()[:1]
  with pytest.raises(UserError, match='one value per channel.*batch_size=8'):
    check.check_run(config, one)
  check.check_run(config, one, resumed=True)
  assert capsys.readouterr().err.count('one value per channel') == 1
  for good in (small(8, 4), small(4, 4, 224)):
    good.model.aux_heads = False
    check.check_run(good, one)
  assert not capsys.readouterr().err


@pytest.mark.parametrize('epochs, count', [(3.0, 1), (5.0, 0), (6.0, 0)])
def test_a_warmup_that_is_longer_than_the_run_is_a_warning(
  epochs, count, capsys
):
  config = small(8, 1)
  config.schedule.warmup_epochs, config.num_epochs = 5.0, epochs
  check.check_run(config, jax.devices()[:1])
  assert capsys.readouterr().err.count('warmup_epochs=5 is longer') == count

"""Configs: defaults that work, refusals that name the field, comparison."""

import importlib

import pytest

from configs import default, digits
from inception import config as config_lib
from inception.errors import UserError


@pytest.mark.parametrize('name', ['default', 'digits', 'googlenet'])
def test_the_configs_that_come_with_the_project_are_good(name):
  config = importlib.import_module(f'configs.{name}').get_config()
  config_lib.check(config, 8)


@pytest.mark.parametrize(
  'field, value, message',
  [
    ('precision', 'float8', "precision='float8' is not one of float32"),
    ('model.architecture', 'vgg', "unknown architecture 'vgg'"),
    ('model.head_pooling', 'max', 'model.head_pooling'),
    ('model.initializer', 'zeros', 'model.initializer'),
    ('optimizer.name', 'adam', 'sgd, rmsprop'),
    ('schedule.name', 'poly', 'cosine, stairs, constant'),
    ('batch_size', 0, 'batch_size=0 .* above 0'),
    ('batch_size', 30, '30 does not split over 8 .*batch_size=24'),
    ('batch_size', 3, '3 does not split over 8 .*batch_size=8'),
    ('num_epochs', -1.0, 'num_epochs'),
    ('num_steps', 0, 'num_steps'),
    ('model.dropout', 1.0, 'at least 0 and below 1'),
    ('model.width', 0.0, 'model.width'),
    ('optimizer.ema_decay', 1.5, 'optimizer.ema_decay'),
    ('data.eval_crop', 1.2, 'above 0 and at most 1'),
    ('data.crop_area', (0.5,), r"data.crop_area=\(0.5,\) .*'\(0.5, 1.0\)'"),
    ('data.crop_area', (0.9, 0.5), 'data.crop_area'),
    ('data.crop_area', (0.5, 1.5), 'data.crop_area'),
    ('data.crop_aspect', (0.0, 1.0), 'data.crop_aspect'),
    ('data.image_size', 0, 'data.image_size'),
  ],
)
def test_a_bad_field_is_named_with_its_value(field, value, message):
  config = digits.get_config()
  config.update_from_flattened_dict({field: value})
  with pytest.raises(UserError, match=message):
    config_lib.check(config, 8)


def test_an_input_that_leaves_no_grid_is_refused(monkeypatch):
  from inception import architectures
  from inception.architectures import vocabulary as v

  table = v.Architecture(
    8, (v.Stage('stem', v.Conv(8, 7, padding='VALID')),), dropout=0.0
  )
  monkeypatch.setitem(architectures.ARCHITECTURES, 'valid', table)
  config = digits.get_config()
  config.model.architecture, config.data.image_size = 'valid', 6
  with pytest.raises(UserError, match='too small for valid.*smallest is 7'):
    config_lib.check(config, 1)


def test_json_keeps_every_field_and_unset_ones():
  config = default.get_config()
  again = config_lib.from_json(config_lib.to_json(config))
  assert config_lib.differences(config, again) == []
  assert again.num_steps is None and list(again.data.crop_area) == [0.08, 1.0]


def test_differences_name_fields_and_both_values():
  old, new = default.get_config(), default.get_config()
  new.model.width = 0.5
  new.num_steps = 7
  assert config_lib.differences(old, new) == [
    'model.width: 1.0, now 0.5',
    'num_steps: None, now 7',
  ]

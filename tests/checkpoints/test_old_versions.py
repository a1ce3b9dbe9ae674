"""Workdirs and imported weights of older versions: read, evaluated, resumed.

`old/` was written by version 0.1: `run_0_1` is a run of the tiny network that
stopped at step 3 of 6, `run_0_1_final.npz` its state at step 6, `imported_0_1`
a folder of imported weights. The numbers below are what that version printed.
"""

import json
import pathlib
import shutil

from flax import serialization, traverse_util
import jax
import numpy as np
import pytest

from inception import load_pretrained
from inception.checkpoints.store import Checkpoints
from inception.config import compare, default, upgrade
from inception.evaluation.workdir import open_workdir
from inception.observing.metrics import read_rows
from inception.training import loop

OLD = pathlib.Path(__file__).parent / 'old'
ONE = jax.devices()[:1]
LOSSES = [2.9934347, 2.994843, 2.991967, 2.994376, 2.9927304, 2.9973993]


@pytest.fixture
def old_run(tmp_path):
  return shutil.copytree(OLD / 'run_0_1', tmp_path / 'run')


@pytest.fixture
def resumed_config(config):
  """The config of the old run, with the field names of this version."""
  config.log_every_steps = 1
  config.model.squeeze_excite = 4
  config.data.flip = True
  config.data.color_jitter = 0.5
  config.data.random_erase_prob = 0.25
  config.data.mixup_alpha = 0.2
  config.data.cutmix_alpha = 0.5
  config.data.eval_transform = 'torchvision'
  config.data.crop_pct = 0.9
  config.schedule.name = 'staircase'
  config.schedule.decay_every_epochs = 0.02
  config.schedule.warmup_epochs = 0.0
  return config


def test_an_old_run_is_evaluated(old_run):
  results = open_workdir(old_run, devices=ONE).results()
  assert results['step'] == 3 and results['examples'] == 40
  assert results['top1'] == 0.025 and results['top5'] == 0.5
  assert results['loss'] == pytest.approx(2.301999092, rel=1e-5)


def test_an_old_run_is_resumed_as_if_the_version_had_not_changed(
  old_run, resumed_config
):
  state = loop.train(resumed_config, old_run, ONE)
  train = [row for row in read_rows(old_run) if row['split'] == 'train']
  assert [row['step'] for row in train] == [1, 2, 3, 4, 5, 6]
  losses = [row['loss'] for row in train]
  np.testing.assert_allclose(losses, LOSSES, rtol=1e-5)
  flat = traverse_util.flatten_dict(
    serialization.to_state_dict(jax.device_get(state)), sep='/'
  )
  with np.load(OLD / 'run_0_1_final.npz') as final:
    for name in final.files:
      np.testing.assert_allclose(
        flat[name], final[name], rtol=1e-4, atol=1e-6, err_msg=name
      )


def test_old_imported_weights_are_loaded_and_evaluated(tmp_path):
  folder = shutil.copytree(OLD / 'imported_0_1', tmp_path / 'weights')
  results = open_workdir(
    folder, split='test[:40]', dataset='digits', devices=ONE
  ).results()
  assert results['top1'] == 0.025 and results['top5'] == 0.55
  assert results['loss'] == pytest.approx(2.301807785, rel=1e-5)
  config = load_pretrained(folder).config
  assert config.data.eval_transform == 'timm'
  assert config.provenance.project == 'timm'


def test_missing_fields_take_their_defaults():
  config = json.loads((OLD / 'run_0_1' / 'config.json').read_text())
  del config['model']['scan_blocks'], config['loss'], config['seed']
  upgraded = upgrade.upgrade(config)
  defaults = default.get_config()
  assert upgraded['model']['scan_blocks'] == defaults.model.scan_blocks
  assert upgraded['loss'] == defaults.loss.to_dict()
  assert upgraded['seed'] == defaults.seed


@pytest.mark.parametrize(
  'fields, name, crop_pct, interpolation',
  [
    ({}, 'inception', None, None),
    ({'eval_crop': 1.0}, 'inception', 1.0, None),
    ({'eval_antialias': True}, 'inception_antialias', None, None),
    ({'eval_resize': 'bicubic'}, 'inception', None, 'bicubic'),
    ({'eval_preset': 'slim'}, 'slim', None, None),
    ({'eval_preset': 'timm', 'eval_crop': 0.8975}, 'timm', 0.8975, None),
    ({'eval_short_side': 20}, 'torchvision_tensor', 16 / 20, None),
    (
      {
        'eval_short_side': 18,
        'eval_antialias': True,
        'eval_resize': 'bicubic',
      },
      'torchvision',
      16 / 18,
      'bicubic',
    ),
  ],
)
def test_five_old_fields_become_one_named_transform(
  fields, name, crop_pct, interpolation
):
  config = json.loads((OLD / 'run_0_1' / 'config.json').read_text())
  config['data'].update({'eval_preset': None, 'eval_crop': 0.875, **fields})
  data = upgrade.upgrade(config)['data']
  assert data['eval_transform'] == name
  assert data['crop_pct'] == crop_pct
  assert data['interpolation'] == interpolation
  assert not [field for field in data if field in ('eval_preset', 'eval_crop')]


def test_a_config_of_this_version_stays_as_it_is():
  config = default.get_config()
  again = compare.from_json(compare.to_json(config))
  assert compare.differences(config, again) == []


def test_old_field_names_are_upgraded_when_a_checkpoint_is_read(old_run):
  with Checkpoints(old_run) as checkpoints:
    config = checkpoints.load(3).config
  assert config.data.color_jitter == 0.5 and 'color' not in config.data
  assert config.schedule.name == 'staircase'

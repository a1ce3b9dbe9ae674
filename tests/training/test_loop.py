"""Whole runs: resumed equals unbroken, evaluation elsewhere, refusals."""

import json
import math

import jax
import numpy as np
import pytest

from inception.checkpoints.store import Checkpoints
from inception.config import compare
from inception.errors import UserError
from inception.evaluation.workdir import evaluate_workdir
from inception.training import loop, meter, resolve, saving
from tests import tiny
from tests.runs import ONE, assert_equal_states, rows


@pytest.mark.parametrize('precision', ['float32', 'float16'])
def test_a_resumed_run_is_the_unbroken_one_to_the_bit(
  config, tmp_path, precision
):
  config.precision = precision
  whole = loop.train(config, tmp_path / 'whole', ONE)
  for stop in (1, 3, 5, None):
    broken = loop.train(config, tmp_path / 'broken', ONE, stop_at_step=stop)
  assert int(broken.step) == 6
  assert_equal_states(whole, broken)


def test_a_killed_run_takes_its_steps_again(config, tmp_path, monkeypatch):
  config.log_every_steps = 1
  whole = loop.train(config, tmp_path / 'whole', ONE)
  loop.train(config, tmp_path / 'broken', ONE, stop_at_step=2)

  def die(*args):
    raise RuntimeError('killed')

  with monkeypatch.context() as patch:
    patch.setattr(saving.Saver, 'save', die)
    with pytest.raises(RuntimeError, match='killed'):
      loop.train(config, tmp_path / 'broken', ONE, stop_at_step=5)
  assert_equal_states(whole, loop.train(config, tmp_path / 'broken', ONE))
  steps = [
    r['step'] for r in rows(tmp_path / 'broken') if r['split'] == 'train'
  ]
  assert steps == [1, 2, 3, 4, 5, 6]
  train = [
    [(r['step'], r['loss']) for r in rows(tmp_path / name) if 'epoch' in r]
    for name in ('whole', 'broken')
  ]
  assert train[0] == train[1]


def test_four_devices_train_and_one_evaluates(config, tmp_path):
  loop.train(config, tmp_path)
  logged = [r for r in rows(tmp_path) if r['split'] == 'test[:40]']
  assert [r['step'] for r in logged] == [6]
  for devices in (jax.devices(), ONE):
    results = evaluate_workdir(tmp_path, devices=devices)
    assert results['step'] == 6 and results['examples'] == 40
    for name in ('top1', 'top5'):
      assert results[name] == logged[0][name]
    assert results['loss'] == pytest.approx(logged[0]['loss'], rel=1e-5)


def test_the_log_has_all_numbers(config, tmp_path, capsys):
  loop.train(config, tmp_path, ONE)
  train = [r for r in rows(tmp_path) if r['split'] == 'train']
  assert [r['step'] for r in train] == [2, 4, 6]
  assert set(train[0]) == {
    'step',
    'split',
    'epoch',
    'loss',
    'top1',
    'learning_rate',
    'images_per_second',
    'seconds_left',
    'time',
    'crc32',
  }
  assert train[1]['epoch'] == pytest.approx(4 * 16 / 1437)
  output = capsys.readouterr().out
  assert 'step 4/6' in output and 'images/s' in output and 'left' in output
  assert 'test[:40]: 40 examples' in output
  assert list((tmp_path / 'tensorboard').glob('events*'))
  assert json.loads((tmp_path / 'config.json').read_text())['batch_size'] == 16


def test_a_line_cut_short_by_a_kill_does_not_stop_a_resumed_run(
  config, tmp_path
):
  loop.train(config, tmp_path, ONE, stop_at_step=2)
  with (tmp_path / 'metrics.jsonl').open('a') as file:
    file.write('{"step": 4, "sp')
  loop.train(config, tmp_path, ONE)
  train = [r['step'] for r in rows(tmp_path) if r['split'] == 'train']
  assert train == [2, 4, 6]


def test_a_finished_run_says_so(config, tmp_path, capsys):
  config.num_steps = 2
  first = loop.train(config, tmp_path, ONE)
  written = (tmp_path / 'metrics.jsonl').read_text()
  again = loop.train(config, tmp_path, ONE)
  assert 'already at step 2 of 2: nothing to do' in capsys.readouterr().out
  assert_equal_states(first, again)
  assert (tmp_path / 'metrics.jsonl').read_text() == written


def test_another_config_is_refused_with_the_fields(config, tmp_path):
  loop.train(config, tmp_path, ONE, stop_at_step=1)
  config.optimizer.momentum = 0.5
  config.model.width = 2.0
  with pytest.raises(
    UserError,
    match='model.width: 1.0, now 2.0; optimizer.momentum: 0.9, now 0.5',
  ):
    loop.train(config, tmp_path, ONE)


@pytest.mark.parametrize('log_every', [1, 100])
def test_a_loss_that_is_not_finite_stops_at_its_step(
  config, tmp_path, log_every
):
  loop.train(config, tmp_path, ONE, stop_at_step=2)
  # The checkpoint's config is what a run goes on with: change the rate alone.
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(compare, 'differences', lambda old, new: [])
    patch.setattr(resolve, 'check', lambda *args: None)
    config.schedule.base_learning_rate = 1e38
    config.log_every_steps = log_every
    with pytest.raises(UserError, match='the loss is (nan|inf) at step [3-5];'):
      loop.train(config, tmp_path, ONE)
  assert Checkpoints(tmp_path).steps() == [2]


def test_the_first_bad_step_is_named_however_late_it_is_read():
  readings = meter.Meter(10, tiny.get_config())
  for loss in (1.0, 2.0, math.nan, math.inf):
    readings.add({'loss': jax.numpy.float32(loss)})
  with pytest.raises(UserError, match='the loss is nan at step 13'):
    readings.fetch()


def test_the_meter_averages_an_interval_and_starts_again():
  readings = meter.Meter(0, tiny.get_config())
  for loss in (1.0, 3.0):
    readings.add({'loss': np.float32(loss), 'learning_rate': np.float32(loss)})
  means, seconds = readings.read()
  assert means['loss'] == 2 and means['learning_rate'] == 3
  assert means['images_per_second'] == pytest.approx(16 / seconds)
  readings.add({'loss': np.float32(7), 'learning_rate': np.float32(1)})
  assert readings.read()[0]['loss'] == 7


def test_the_number_of_classes_must_be_that_of_the_data(config, tmp_path):
  config.model.num_classes = 7
  with pytest.raises(UserError, match='num_classes=7 contradicts .* needs 10'):
    loop.train(config, tmp_path / 'run', ONE)
  assert not (tmp_path / 'run').exists()


def test_splits_must_have_the_same_classes(config, image_folder, tmp_path):
  (image_folder / 'val' / 'cat').rename(image_folder / 'val' / 'cow')
  config.data.dataset, config.data.data_dir = 'folder', str(image_folder)
  config.data.eval_split = 'val'
  with pytest.raises(UserError, match="class 0, 'cow' here and 'cat' there"):
    loop.train(config, tmp_path / 'run', ONE)
  assert not (tmp_path / 'run').exists()


def test_a_folder_of_images_trains(config, image_folder, tmp_path):
  config.data.dataset, config.data.data_dir = 'folder', str(image_folder)
  config.data.eval_split = 'val'
  config.num_steps = 2
  loop.train(config, tmp_path, jax.devices()[:2])
  assert evaluate_workdir(tmp_path, split='val')['examples'] == 13

"""Whole runs: resumed equals unbroken, evaluation elsewhere, refusals."""

import json
import math
import shutil

import jax
import numpy as np
import pytest

from inception.checkpoints.store import Checkpoints
from inception.config import compare
from inception.errors import UserError
from inception.evaluation.workdir import open_workdir
from inception.observing import meter
from inception.training import check, loop, saving
from tests import tiny
from tests.runs import ONE, assert_equal_states, pictures, rows


def logged(workdir):
  names = ('step', 'split', 'loss', 'top1')
  return [tuple(row[name] for name in names) for row in rows(workdir)]


def test_a_resumed_run_is_bit_identical_to_an_unbroken_one(
  config, finished, tmp_path
):
  """A stop saves a checkpoint but logs no row, so means stay the same."""
  for stop in (1, 3, 5, None):
    state = loop.train(config, tmp_path, ONE, stop_at_step=stop)
  assert int(state.step) == 6
  assert_equal_states(finished.state, state)
  assert [row[0] for row in logged(tmp_path)] == [2, 4, 6, 6]
  assert logged(tmp_path) == logged(finished.workdir)


def test_a_resumed_run_keeps_the_scale_of_its_float16_loss(config, tmp_path):
  config.model.architecture, config.precision = 'tiniest', 'float16'
  config.optimizer.ema_decay = None  # Compiles faster.
  whole = loop.train(config, tmp_path / 'whole', ONE)
  loop.train(config, tmp_path / 'broken', ONE, stop_at_step=3)
  broken = loop.train(config, tmp_path / 'broken', ONE)
  assert_equal_states(whole, broken)


def test_a_killed_run_repeats_its_steps(
  config, finished, tmp_path, monkeypatch
):
  loop.train(config, tmp_path, ONE, stop_at_step=2)

  def die(*args):
    raise RuntimeError('killed')

  with monkeypatch.context() as patch:
    patch.setattr(saving.Saver, 'save', die)
    with pytest.raises(RuntimeError, match='killed'):
      loop.train(config, tmp_path, ONE, stop_at_step=5)
  assert [row[0] for row in logged(tmp_path)] == [2, 4]
  assert_equal_states(finished.state, loop.train(config, tmp_path, ONE))
  assert logged(tmp_path) == logged(finished.workdir)


def test_four_devices_train_and_one_evaluates(config, tmp_path):
  loop.train(config, tmp_path)
  logged = [r for r in rows(tmp_path) if r['split'] == 'test[:40]']
  assert [r['step'] for r in logged] == [6]
  for devices in (jax.devices(), ONE):
    results = open_workdir(tmp_path, devices=devices).results()
    assert results['step'] == 6 and results['examples'] == 40
    for name in ('top1', 'top5'):
      assert results[name] == logged[0][name]
    assert results['loss'] == pytest.approx(logged[0]['loss'], rel=1e-5)


def test_the_log_has_all_numbers(finished):
  workdir, output = finished.workdir, finished.printed
  train = [r for r in rows(workdir) if r['split'] == 'train']
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
  assert 'step 4/6' in output and 'images/s' in output and 'left' in output
  assert 'test[:40]: 40 examples' in output
  assert list((workdir / 'tensorboard').glob('events*'))
  assert json.loads((workdir / 'config.json').read_text())['batch_size'] == 16


def test_a_line_cut_short_by_a_kill_does_not_stop_a_resumed_run(
  config, tmp_path
):
  loop.train(config, tmp_path, ONE, stop_at_step=2)
  with (tmp_path / 'metrics.jsonl').open('a') as file:
    file.write('{"step": 4, "sp')
  loop.train(config, tmp_path, ONE)
  train = [r['step'] for r in rows(tmp_path) if r['split'] == 'train']
  assert train == [2, 4, 6]


def test_a_finished_run_says_so(config, finished, tmp_path, capsys):
  workdir = shutil.copytree(finished.workdir, tmp_path / 'run')
  again = loop.train(config, workdir, ONE)
  assert 'already at step 6 of 6: nothing to do' in capsys.readouterr().out
  assert_equal_states(finished.state, again)
  assert rows(workdir) == rows(finished.workdir)


def test_a_changed_config_is_refused_with_its_fields(config, tmp_path):
  loop.train(config, tmp_path, ONE, stop_at_step=1)
  config.optimizer.momentum = 0.5
  config.model.width = 2.0
  with pytest.raises(
    UserError,
    match='model.width: 1.0, now 2.0; optimizer.momentum: 0.9, now 0.5',
  ):
    loop.train(config, tmp_path, ONE)


def test_a_loss_that_is_not_finite_stops_at_its_step(
  config, tmp_path, monkeypatch
):
  loop.train(config, tmp_path, ONE, stop_at_step=2)
  # Skip the comparison with the checkpoint's config, to change the rate.
  monkeypatch.setattr(compare, 'differences', lambda old, new: [])
  monkeypatch.setattr(check, 'check_run', lambda *args: None)
  config.schedule.base_learning_rate = 1e38
  for log_every in (1, 100):
    config.log_every_steps = log_every
    with pytest.raises(UserError, match='loss .* step [3-5]'):
      loop.train(config, tmp_path, ONE)
    assert Checkpoints(tmp_path).steps() == [2]


def test_the_first_bad_step_is_reported_however_late_it_is_read():
  readings = meter.Meter(10, tiny.get_config())
  for loss in (1.0, 2.0, math.nan, math.inf):
    readings.add({'loss': jax.numpy.float32(loss)})
  with pytest.raises(UserError, match='step 13'):
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
  with pytest.raises(UserError, match='num_classes=7 .* 10'):
    loop.train(config, tmp_path / 'run', ONE)
  assert not (tmp_path / 'run').exists()


def test_splits_must_have_the_same_classes(config, image_folder, tmp_path):
  (image_folder / 'val' / 'cat').rename(image_folder / 'val' / 'cow')
  config.data.dataset, config.data.data_dir = 'folder', str(image_folder)
  config.data.eval_split = 'val'
  with pytest.raises(UserError, match="class 0, 'cow' .*'cat'"):
    loop.train(config, tmp_path / 'run', ONE)
  assert not (tmp_path / 'run').exists()


def test_a_folder_of_images_trains(config, image_folder, tmp_path):
  pictures(config, image_folder)
  loop.train(config, tmp_path, ONE)
  assert open_workdir(tmp_path, split='val').results()['examples'] == 13

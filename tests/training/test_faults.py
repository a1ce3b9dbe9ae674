"""Whole runs that are stopped, disturbed, or fail."""

import json
import os
import shutil
import signal
import time

import jax
import numpy as np
import pytest
from tensorboard.backend.event_processing import event_accumulator

from inception import paths
from inception.checkpoints.lock import WorkdirLock
from inception.checkpoints.restore import load_variables
from inception.checkpoints.store import Checkpoints, NotWrittenError
from inception.errors import UserError
from inception.evaluation import evaluate
from inception.evaluation.workdir import open_workdir
from inception.observing import meter
from inception.training import check, loop, saving
from tests.runs import ONE, assert_equal_states, pictures, rows


def by_score(checkpoints):
  return checkpoints.scores.best_first(checkpoints.steps())


def test_two_runs_do_not_share_a_workdir(config, tmp_path, capsys):
  loop.train(config, tmp_path, ONE, stop_at_step=1)
  assert 'stopped after step 1 of 6; repeat' in capsys.readouterr().out
  with (
    WorkdirLock(paths.resolve(tmp_path)),
    pytest.raises(UserError, match='is in use by process'),
  ):
    loop.train(config, tmp_path, ONE)


def test_tensorboard_has_the_rows_and_no_more(config, tmp_path, monkeypatch):
  config.log_every_steps = 1
  loop.train(config, tmp_path, ONE, stop_at_step=2)
  with monkeypatch.context() as patch:
    patch.setattr(saving.Saver, 'save', lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
      loop.train(config, tmp_path, ONE, stop_at_step=4)
  loop.train(config, tmp_path, ONE)
  (path,) = (tmp_path / 'tensorboard').iterdir()
  events = event_accumulator.EventAccumulator(str(path)).Reload()
  losses = [(e.step, e.value) for e in events.Scalars('train/loss')]
  train = [r for r in rows(tmp_path) if r['split'] == 'train']
  assert losses == [(r['step'], np.float32(r['loss'])) for r in train]
  assert len(losses) == 6
  assert [e.step for e in events.Scalars('test[:40]/top1')] == [6]


def test_the_checkpoint_comes_before_the_evaluation(
  config, tmp_path, monkeypatch
):
  """A failed evaluation loses no step; a resumed run repeats the evaluation."""
  config.eval_every_epochs = config.checkpoint_every_epochs = 3 * 16 / 1437

  def die(*args):
    raise RuntimeError('killed')

  with monkeypatch.context() as patch:
    patch.setattr(evaluate, 'evaluate', die)
    with pytest.raises(RuntimeError, match='killed'):
      loop.train(config, tmp_path, ONE)
  assert Checkpoints(paths.resolve(tmp_path)).steps() == [3]
  loop.train(config, tmp_path, ONE)
  assert [r['step'] for r in rows(tmp_path) if r['split'] != 'train'] == [3, 6]
  assert set(by_score(Checkpoints(paths.resolve(tmp_path)))) == {3, 6}


def test_a_failed_evaluation_ends_the_run_only_at_its_end(
  config, image_folder, tmp_path, capsys
):
  pictures(config, image_folder)
  config.eval_every_epochs = 4 / 13  # Every step.
  path = image_folder / 'val' / 'dog' / '1.jpg'
  path.write_bytes(path.read_bytes()[:100])
  with pytest.raises(UserError, match='evaluations skipped: 2.*1.jpg'):
    loop.train(config, tmp_path / 'run', ONE)
  assert 'evaluation at step 1 was skipped' in capsys.readouterr().err
  assert 2 in Checkpoints(paths.resolve(tmp_path / 'run')).steps()


def at_step(step, action, monkeypatch):
  """Runs an action after a step of the next run."""
  add = meter.Meter.add

  def add_and_act(self, metrics):
    add(self, metrics)
    if self._step + len(self._on_devices) == step:
      action()

  monkeypatch.setattr(meter.Meter, 'add', add_and_act)


def terminate():
  os.kill(os.getpid(), signal.SIGTERM)
  time.sleep(0.2)  # For the thread that reads signals.


def test_a_signal_ends_the_run_after_a_step(
  config, finished, tmp_path, monkeypatch
):
  config.log_every_steps = 100
  with monkeypatch.context() as patch:
    at_step(2, terminate, patch)
    with pytest.raises(SystemExit) as stop:
      loop.train(config, tmp_path, ONE)
  assert stop.value.code == 128 + signal.SIGTERM
  assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
  assert Checkpoints(paths.resolve(tmp_path)).steps() == [3]
  assert_equal_states(finished.state, loop.train(config, tmp_path, ONE))


def test_a_signal_does_not_wait_for_an_evaluation(
  config, tmp_path, monkeypatch
):
  config.eval_every_epochs = 6 * 16 / 1437
  config.data.eval_split = 'test[:160]'  # Ten batches.
  scored = []

  def score(eval_step, variables, batches):
    for _ in batches:
      scored.append(1)
      if len(scored) == 1:
        terminate()

  with monkeypatch.context() as patch:
    patch.setattr(evaluate, 'evaluate', score)
    with pytest.raises(SystemExit):
      loop.train(config, tmp_path, ONE)
  assert len(scored) == 2  # The signal stops it before a third batch.
  (step,) = Checkpoints(paths.resolve(tmp_path)).steps()
  loop.train(config, tmp_path, ONE)
  assert rows(tmp_path)[-1]['split'] == 'test[:160]'
  assert rows(tmp_path)[-1]['step'] == step == 6


def test_checkpoints_are_saved_by_the_clock(config, tmp_path):
  config.checkpoint_every_minutes = 1e-6
  loop.train(config, tmp_path, ONE)
  assert Checkpoints(paths.resolve(tmp_path)).steps() == [4, 5, 6]


def test_a_run_may_continue_without_a_checkpoint(
  config, tmp_path, monkeypatch, capsys
):
  config.checkpoint_every_epochs = 2 * 16 / 1437
  save, full = Checkpoints.save, [True]

  def save_if_there_is_room(self, *args):
    if full:
      raise NotWrittenError('disk full')
    save(self, *args)

  monkeypatch.setattr(Checkpoints, 'save', save_if_there_is_room)
  with pytest.raises(NotWrittenError):
    loop.train(config, tmp_path, ONE)
  config.checkpoint.on_full = 'continue'
  with monkeypatch.context() as patch:
    at_step(5, full.clear, patch)
    loop.train(config, tmp_path, ONE)
  assert capsys.readouterr().err.count('training continues') == 2
  assert Checkpoints(paths.resolve(tmp_path)).steps() == [6]
  full.append(True)
  config.num_steps = 8
  with pytest.raises(UserError, match='num_steps: 6, now 8'):
    loop.train(config, tmp_path, ONE)


def test_the_last_checkpoint_is_tried_after_a_failed_one(
  config, tmp_path, monkeypatch
):
  config.checkpoint_every_epochs = 3 * 16 / 1437
  config.checkpoint.on_full = 'continue'
  wait, failures = Checkpoints.wait, [NotWrittenError('disk full')]

  def wait_or_fail(self):
    wait(self)
    if self.steps() and failures:
      raise failures.pop()

  monkeypatch.setattr(Checkpoints, 'wait', wait_or_fail)
  monkeypatch.setattr(saving.Saver, 'save_scores', lambda *args: None)
  loop.train(config, tmp_path, ONE)
  assert not failures and 6 in Checkpoints(paths.resolve(tmp_path)).steps()


def test_rows_wait_for_space(config, tmp_path, monkeypatch, capsys):
  """On a full disk; the files of a run that continues are complete."""
  config.log_every_steps = 1
  write, full = os.write, [True]

  def write_half(descriptor, data):
    half = len(data) // 2 if full and len(data) > 1 else len(data)
    return write(descriptor, data[:half])

  def train(folder):
    with monkeypatch.context() as patch:
      at_step(2, lambda: patch.setattr(os, 'write', write_half), patch)
      at_step(5, full.clear, patch)
      loop.train(config, folder, ONE)

  with pytest.raises(OSError, match='No space left'):
    train(tmp_path / 'stops')
  assert [r['step'] for r in rows(tmp_path / 'stops')] == [1]
  full.append(True)
  config.checkpoint.on_full = 'continue'
  train(tmp_path / 'goes_on')
  assert [r['step'] for r in rows(tmp_path / 'goes_on')] == [*range(1, 7), 6]
  assert capsys.readouterr().err.count('will retry') == 1


def test_fields_that_do_not_change_the_result_may_change(config, tmp_path):
  loop.train(config, tmp_path, ONE, stop_at_step=1)
  config.watchdog_minutes = 5.0
  config.keep_checkpoints = 1
  config.data.retry_seconds = 0.0
  loop.train(config, tmp_path, ONE)


def test_more_non_finite_updates_than_allowed_end_the_run(
  config, tmp_path, monkeypatch
):
  monkeypatch.setattr(check, 'check_run', lambda *args: None)
  config.model.architecture = 'tiniest'
  config.divergence.skip_updates, config.loss.aux_weight = 2, 2.0
  config.schedule.base_learning_rate = 1e38
  with pytest.raises(
    UserError,
    match='2 non-finite .*base_learning_rate.*loss.aux_weight=2',
  ):
    loop.train(config, tmp_path, ONE)


def test_a_run_is_recorded(config, tmp_path):
  loop.train(config, tmp_path, ONE, stop_at_step=1)
  loop.train(config, tmp_path, ONE)
  lines = (tmp_path / 'starts.jsonl').read_text().splitlines()
  first, second = map(json.loads, lines)
  assert (first['step'], second['step']) == (0, 1)
  assert second['packages']['jax'] == jax.__version__
  assert second['devices'] == '1 x cpu' and second['processes'] == 1
  assert first['data'] == second['data']
  train, evaluation = first['data']['train'], first['data']['evaluation']
  assert (train['examples'], evaluation['examples']) == (1437, 40)
  assert train['digest'] != evaluation['digest']
  assert first['config']['batch_size'] == 16


def test_a_resumed_run_needs_the_same_data(
  config, image_folder, tmp_path, capsys
):
  pictures(config, image_folder)
  loop.train(config, tmp_path / 'run', ONE, stop_at_step=1)
  path = image_folder / 'train' / 'dog' / '1.jpg'
  path.write_bytes(path.read_bytes() + b'x')
  with pytest.raises(UserError, match='data.on_change'):
    loop.train(config, tmp_path / 'run', ONE)
  (image_folder / 'val' / 'dog' / '1.jpg').unlink()
  config.data.on_change = 'continue'
  loop.train(config, tmp_path / 'run', ONE)
  warnings = capsys.readouterr().err
  assert 'train has as many examples as before' in warnings
  assert 'val had 13 examples, now 12' in warnings


def test_a_resumed_run_and_its_evaluation_have_the_same_classes(
  config, image_folder, tmp_path
):
  pictures(config, image_folder)
  loop.train(config, tmp_path / 'run', ONE, stop_at_step=1)
  loaded = load_variables(paths.resolve(tmp_path / 'run'))
  assert loaded.config.data.class_names == ['cat', 'dog']
  for split in ('train', 'val'):
    (image_folder / split / 'dog').rename(image_folder / split / 'wolf')
  message = "class 1, 'wolf' here and 'dog' there"
  with pytest.raises(UserError, match=f'the checkpoint: .*{message}'):
    loop.train(config, tmp_path / 'run', ONE)
  with pytest.raises(UserError, match=message):
    open_workdir(tmp_path / 'run', devices=ONE).results()


def test_odd_data_gives_warnings(config, image_folder, tmp_path, capsys):
  pictures(config, image_folder)
  config.model.architecture, config.batch_size = 'tiniest', 64
  for split in ('train', 'val'):
    shutil.rmtree(image_folder / split / 'cat')
  loop.train(config, tmp_path / 'run', ONE, stop_at_step=1)
  warnings = capsys.readouterr().err
  assert 'batch_size=64 is larger than' in warnings and '7 images' in warnings
  assert 'has a single class' in warnings


def test_overlapping_splits_are_reported(config, tmp_path, capsys):
  config.data.eval_split = 'train[:40]'
  loop.train(config, tmp_path, ONE, stop_at_step=1)
  assert '40 examples are in both' in capsys.readouterr().err


@pytest.mark.parametrize('name', ['config.json', 'metrics.jsonl'])
def test_a_folder_in_place_of_a_file_is_refused(config, tmp_path, name):
  (tmp_path / name).mkdir()
  with pytest.raises(UserError, match=name):
    loop.train(config, tmp_path, ONE)


def test_a_file_in_place_of_the_tensorboard_folder_is_refused(config, tmp_path):
  (tmp_path / 'tensorboard').write_text('')
  with pytest.raises(UserError, match='tensorboard'):
    loop.train(config, tmp_path, ONE)

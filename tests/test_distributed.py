"""Several processes on this machine, connected by gloo."""

import json

import jax
import numpy as np
import pytest

from inception import paths
from inception.checkpoints import arrays
from inception.checkpoints.store import Checkpoints
from inception.errors import RESTART
from inception.evaluation.workdir import evaluate_workdir
from inception.training import loop
from tests import processes, tiny


def state_of(workdir):
  checkpoints = Checkpoints(paths.resolve(workdir))
  return arrays.flatten(checkpoints.load(checkpoints.steps()[-1]).state)


def losses(workdir):
  lines = (workdir / 'metrics.jsonl').read_text().splitlines()
  return {
    (row['step'], row['split']): row['loss'] for row in map(json.loads, lines)
  }


def assert_close(workdir, other):
  """Equal to float tolerance: gloo adds in another order than XLA's threads."""
  ours, theirs = state_of(workdir), state_of(other)
  assert ours.keys() == theirs.keys()
  for name in ours:
    np.testing.assert_allclose(ours[name], theirs[name], 1e-4, 1e-5, True, name)
  ours, theirs = losses(workdir), losses(other)
  assert ours.keys() == theirs.keys()
  assert list(ours.values()) == pytest.approx(list(theirs.values()), rel=1e-5)


@pytest.fixture(scope='module')
def two(tmp_path_factory):
  """An unbroken run of two processes with two devices each."""
  workdir = tmp_path_factory.mktemp('two') / 'run'
  results = processes.run('train', workdir, processes=2, devices=2)
  assert [status for status, _, _ in results] == [0, 0], results
  # One process logs and writes.
  assert 'in 2 processes' in results[0][1]
  assert 'step' not in results[1][1].replace('Gloo', '')
  return workdir


@pytest.fixture(scope='module')
def one(tmp_path_factory):
  """The same run in one process with four devices."""
  workdir = tmp_path_factory.mktemp('one') / 'run'
  loop.train(tiny.get_config(), workdir, jax.devices())
  return workdir


def test_two_processes_train_as_one_does(one, two):
  assert_close(two, one)


def test_another_number_of_processes_goes_on_with_the_same_examples(
  one, two, tmp_path
):
  broken = tmp_path / 'run'
  loop.train(tiny.get_config(), broken, jax.devices(), stop_at_step=3)
  results = processes.run('train', broken, processes=2, devices=2)
  assert [status for status, _, _ in results] == [0, 0], results
  assert_close(broken, one)


def test_evaluation_counts_every_example_once(two):
  (first, second) = processes.run(
    'eval', two, '--json', '--batch_size=12', processes=2, devices=2
  )
  assert first[0] == second[0] == 0
  together = json.loads(first[1].splitlines()[-1])
  alone = evaluate_workdir(two)
  assert together['examples'] == alone['examples'] == 40
  assert together['top1'] == alone['top1']
  assert together['loss'] == pytest.approx(alone['loss'], rel=1e-5)


def test_a_lost_process_ends_the_other_and_all_can_go_on(two, tmp_path):
  workdir = tmp_path / 'run'
  every = '--config.checkpoint_every_epochs=0.0111'  # One step.
  started = processes.start('train', workdir, every, processes=2, devices=2)
  while not (workdir / 'checkpoints' / '2').exists():
    assert started[0].poll() is None, started[0].communicate()
  started[1].kill()
  (status, _, error), _ = processes.finish(started)
  assert status == RESTART
  assert 'error: process 1 (host ' in error.splitlines()[-1]
  assert 'start all processes again' in error.splitlines()[-1]
  results = processes.run('train', workdir, every, processes=2, devices=2)
  assert [status for status, _, _ in results] == [0, 0], results
  ours, theirs = state_of(workdir), state_of(two)
  for name in theirs:
    np.testing.assert_array_equal(ours[name], theirs[name], name)
  assert losses(workdir) == losses(two)


@pytest.mark.parametrize(
  'own, message',
  [
    (['--config.data.dataset=digits', '--config.data.dataset=folder'], ''),
    (['--config.seed=1', '--config.seed=2'], 'the config of process 1 differs'),
  ],
)
def test_an_error_of_one_process_is_one_of_all(tmp_path, own, message):
  results = processes.run('train', tmp_path / 'run', own, processes=2)
  assert [status for status, _, _ in results] == [2, 2]
  for _, _, error in results:
    assert error.count('\n') == 1 and error.startswith('error: '), error
    assert message in error
  assert not (tmp_path / 'run').exists()

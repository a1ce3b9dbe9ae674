"""Several processes on this machine, connected by gloo."""

import json
import shutil

import jax
import numpy as np
import pytest

from inception import paths
from inception.checkpoints import arrays
from inception.checkpoints.store import Checkpoints
from inception.errors import RESTART
from inception.evaluation.workdir import open_workdir
from inception.training import loop
from tests import tiny, waiting

pytestmark = pytest.mark.usefixtures('python')

# Less to compile.
SMALL = {
  'model.aux_heads': False,
  'model.dropout': 0.0,
  'checkpoint_every_epochs': 0.0111,  # One step.
  'keep_checkpoints': 10,
  'distributed.timeout_seconds': 5.0,
}
FLAGS = [f'--config.{field}={value}' for field, value in SMALL.items()]


def get_config():
  """A run that saves after every step."""
  config = tiny.get_config()
  config.update_from_flattened_dict(SMALL)
  return config


def state_of(workdir, step=6):
  return arrays.flatten(Checkpoints(paths.resolve(workdir)).load(step).state)


def losses(workdir):
  lines = (workdir / 'metrics.jsonl').read_text().splitlines()
  return {
    (row['step'], row['split']): row['loss'] for row in map(json.loads, lines)
  }


def assert_close_states(ours, theirs):
  """Tolerates rounding: gloo adds in a different order than XLA's threads."""
  assert ours.keys() == theirs.keys()
  for name in ours:
    np.testing.assert_allclose(ours[name], theirs[name], 1e-4, 1e-5, True, name)


def assert_close(workdir, other):
  assert_close_states(state_of(workdir), state_of(other))
  ours, theirs = losses(workdir), losses(other)
  assert ours.keys() == theirs.keys()
  assert list(ours.values()) == pytest.approx(list(theirs.values()), rel=1e-5)


def train_two(workdir, *arguments):
  """Trains in two processes with two devices each."""
  results = waiting.run(
    'train', workdir, *FLAGS, *arguments, processes=2, devices=2
  )
  assert [status for status, _, _ in results] == [0, 0], results


@pytest.fixture(scope='module')
def one(tmp_path_factory):
  """An unbroken run of one process with four devices."""
  workdir = tmp_path_factory.mktemp('one') / 'run'
  loop.train(get_config(), workdir, jax.devices())
  return workdir


def test_two_processes_train_as_one_until_one_is_lost(one, tmp_path):
  workdir = tmp_path / 'run'
  # A different number of processes continues with the same examples.
  loop.train(get_config(), workdir, jax.devices(), stop_at_step=1)
  started = waiting.start('train', workdir, *FLAGS, processes=2, devices=2)
  saved = workdir / 'checkpoints' / '2'
  waiting.wait_for('the save of step 2', saved.exists, started)
  started[1].kill()
  (status, output, error), (_, other, _) = waiting.finish(started)
  assert status == RESTART
  last = error.splitlines()[-1]
  assert last.startswith('error: process 1 (host '), error
  assert 'start all processes again' in last
  # Only one process logs and writes.
  assert 'in 2 processes' in output
  assert 'step' not in other.replace('Gloo', '')
  assert_close_states(state_of(workdir, 2), state_of(one, 2))


@pytest.mark.slow
def test_two_processes_resume_as_if_never_stopped(one, tmp_path):
  """The resumed run is bit-identical to an unbroken one."""
  whole, broken = tmp_path / 'whole', tmp_path / 'broken'
  train_two(whole)
  assert_close(whole, one)
  train_two(broken, '--stop_at_step=2')
  copy = shutil.copytree(broken, tmp_path / 'copy')
  train_two(broken)
  ours, theirs = state_of(broken), state_of(whole)
  for name in theirs:
    np.testing.assert_array_equal(ours[name], theirs[name], name)
  assert losses(broken) == losses(whole)
  # A different number of processes continues with the same examples.
  loop.train(get_config(), copy, jax.devices())
  assert_close(copy, one)
  loop.train(get_config(), tmp_path / 'one', jax.devices(), stop_at_step=3)
  train_two(tmp_path / 'one')
  assert_close(tmp_path / 'one', one)


def test_evaluation_counts_every_example_once(one):
  (first, second) = waiting.run(
    'eval', one, '--json', '--batch_size=12', processes=2, devices=2
  )
  assert first[0] == second[0] == 0
  together = json.loads(first[1].splitlines()[-1])
  alone = open_workdir(one).results()
  assert together['examples'] == alone['examples'] == 40
  assert together['top1'] == alone['top1']
  assert together['loss'] == pytest.approx(alone['loss'], rel=1e-5)


@pytest.mark.parametrize(
  'own, message',
  [
    (['--config.data.dataset=digits', '--config.data.dataset=folder'], ''),
    (['--config.seed=1', '--config.seed=2'], 'the config differs between'),
  ],
)
def test_an_error_in_one_process_ends_all(tmp_path, own, message):
  results = waiting.run('train', tmp_path / 'run', own, processes=2)
  assert [status for status, _, _ in results] == [2, 2]
  for _, _, error in results:
    assert error.count('\n') == 1 and error.startswith('error: '), error
    assert message in error
  assert not (tmp_path / 'run').exists()

"""Checkpoints: what is kept, what is damaged, what does not fit."""

import jax.numpy as jnp
import numpy as np
from orbax.checkpoint._src.path.atomicity import TMP_DIR_SUFFIX
import pytest

from inception.checkpoints import store as module
from inception.checkpoints.restore import restore_into
from inception.checkpoints.store import Checkpoints
from inception.config import default
from inception.errors import UserError

CONFIG = default.get_config()


def state(step, value=1.0):
  return {
    'step': np.int32(step),
    'params': {'kernel': np.full((3, 2), value, np.float32)},
    'empty': {},
    'none': None,
  }


@pytest.fixture
def checkpoints(tmp_path):
  opened = Checkpoints(tmp_path, keep=2)
  yield opened
  opened.close()


def save(checkpoints, step, top1=None, value=1.0):
  metrics = None if top1 is None else {'top1': top1, 'loss': 0.5}
  checkpoints.save(state(step, value), CONFIG, metrics)
  checkpoints.wait()


def damage(checkpoints, step):
  """Overwrites the middle of every data file of a checkpoint."""
  files = [
    path
    for path in (checkpoints.folder / str(step) / 'state').rglob('*')
    if path.is_file() and path.parent.name == 'd'
  ]
  assert files
  for path in files:
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 8] = b'damaged!'
    path.write_bytes(content)


def test_a_state_comes_back_with_its_config(checkpoints):
  save(checkpoints, 3, value=2.0)
  tree, config = checkpoints.load(3)
  np.testing.assert_array_equal(tree['params']['kernel'], np.full((3, 2), 2.0))
  assert config.model.architecture == CONFIG.model.architecture
  restored = restore_into(state(0), tree)
  assert restored['step'] == 3
  assert restored['empty'] == {} and restored['none'] is None


def test_the_newest_and_the_best_are_kept(checkpoints, tmp_path):
  for step, top1 in enumerate([0.1, 0.9, 0.5, 0.4, 0.3, None], start=1):
    save(checkpoints, step, top1)
  assert checkpoints.steps() == [2, 5, 6]
  assert checkpoints.best_step() == 2
  reader = Checkpoints(tmp_path)
  assert reader.best_step() == 2 and reader.steps() == [2, 5, 6]
  reader.close()


def test_without_an_evaluation_there_is_no_best(checkpoints):
  save(checkpoints, 1)
  assert checkpoints.best_step() is None


def test_a_damaged_checkpoint_is_passed_over_and_named(checkpoints, capfd):
  save(checkpoints, 1, value=1.0)
  save(checkpoints, 2, value=2.0)
  damage(checkpoints, 2)
  with pytest.raises(UserError, match='checkpoints/2 is damaged'):
    checkpoints.load(2)
  tree, _ = checkpoints.load_newest_good()
  assert tree['step'] == 1
  assert 'checkpoints/2 is damaged' in capfd.readouterr().err
  checkpoints.delete_after(1)
  save(checkpoints, 2, value=3.0)
  assert checkpoints.load(2)[0]['params']['kernel'][0, 0] == 3


def test_when_all_are_damaged_none_is_used(checkpoints):
  save(checkpoints, 1)
  damage(checkpoints, 1)
  with pytest.raises(UserError, match='all 1 checkpoints .* are damaged'):
    checkpoints.load_newest_good()
  assert checkpoints.steps() == [1]


def test_content_that_changed_is_found_by_the_digest(checkpoints, monkeypatch):
  monkeypatch.setattr(module.arrays, 'digest', lambda flat: 'another')
  save(checkpoints, 1)
  monkeypatch.undo()
  with pytest.raises(UserError, match='differs from what was written'):
    checkpoints.load(1)


def test_what_is_not_finite_is_not_saved(checkpoints):
  save(checkpoints, 1)
  with pytest.raises(UserError, match='params/kernel is not finite at step 2'):
    save(checkpoints, 2, value=np.inf)
  assert checkpoints.steps() == [1]


def test_a_failed_write_is_one_line_and_keeps_the_earlier(
  checkpoints, monkeypatch
):
  save(checkpoints, 1)

  def full(*args, **kwargs):
    raise OSError(28, 'No space left on device')

  monkeypatch.setattr(checkpoints._manager, 'save', full)
  with pytest.raises(UserError, match='No space left.*earlier .* kept'):
    save(checkpoints, 2)
  assert checkpoints.steps() == [1]


def test_a_full_disk_is_noticed_before_anything_is_written(
  checkpoints, monkeypatch
):
  save(checkpoints, 1)
  usage = module.shutil.disk_usage(checkpoints.folder)._replace(free=20)
  monkeypatch.setattr(module.shutil, 'disk_usage', lambda folder: usage)
  with pytest.raises(UserError, match='it needs 28 bytes, 20 are free'):
    save(checkpoints, 2)
  assert [path.name for path in checkpoints.folder.iterdir()] == ['1']


def test_a_tree_that_does_not_fit_is_named():
  tree = {'step': np.int32(1), 'params': {'kernel': np.zeros((3, 3))}}
  with pytest.raises(UserError, match=r'params/kernel is \(3, 3\).*\(3, 2\)'):
    restore_into(state(0), tree)
  with pytest.raises(UserError, match='checkpoint lacks params/kernel'):
    restore_into(state(0), {'step': jnp.zeros(())})
  extra = {**tree, 'params': {'kernel': np.zeros((3, 2)), 'z': np.zeros(1)}}
  with pytest.raises(UserError, match='network lacks params/z'):
    restore_into(state(0), extra)


def test_a_workdir_that_cannot_be_written_is_named(tmp_path):
  (tmp_path / 'file').write_text('')
  with pytest.raises(UserError, match='cannot write to .*file'):
    Checkpoints(tmp_path / 'file', keep=1)


def test_what_a_killed_run_left_unfinished_is_cleared(tmp_path):
  unfinished = tmp_path / 'checkpoints' / f'3{TMP_DIR_SUFFIX}'
  (unfinished / 'state').mkdir(parents=True)
  Checkpoints(tmp_path).close()  # Reading changes nothing.
  assert unfinished.exists()
  Checkpoints(tmp_path, keep=2).close()
  assert not unfinished.exists()

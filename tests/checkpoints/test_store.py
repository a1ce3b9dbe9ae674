"""Checkpoints: retention, damage, and states that do not fit."""

import errno
import json
import math
import os
import shutil

import jax.numpy as jnp
import numpy as np
from orbax.checkpoint._src.path.atomicity import TMP_DIR_SUFFIX
import pytest

from inception import paths
from inception.checkpoints import arrays, choose, reading, restore, tidy, verify
from inception.checkpoints import store as module
from inception.checkpoints.restore import restore_into
from inception.checkpoints.store import Checkpoints, NotWrittenError
from inception.config import default
from inception.errors import UserError
from inception.files import json_text
from inception.processes import distributed
from inception.training.saving import Saver

CONFIG = default.get_config()


def by_score(checkpoints):
  return checkpoints.scores.best_first(checkpoints.steps())


def state(step, value=1.0):
  return {
    'step': np.int32(step),
    'params': {'kernel': np.full((3, 2), value, np.float32)},
    'empty': {},
    'none': None,
  }


@pytest.fixture
def workdir(tmp_path):
  return paths.resolve(tmp_path)


@pytest.fixture
def checkpoints(workdir):
  with Checkpoints(workdir, keep=2) as opened:
    yield opened


def save(checkpoints, step, top1=None, value=1.0):
  checkpoints.save(arrays.flatten(state(step, value)), CONFIG, {'steps': 3})
  checkpoints.wait()
  if top1 is not None:
    checkpoints.save_scores(step, {'top1': top1, 'loss': 0.5})


def damage(checkpoints, step):
  """Overwrites the middle of every data file of a checkpoint."""
  folder = checkpoints.folder / str(step) / 'state'
  files = [*folder.glob('d/*'), *folder.glob('*/d/*')]
  assert files
  for path in files:
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 8] = b'damaged!'
    path.write_bytes(bytes(content))


def edit(path, old, new):
  text = path.read_text()
  assert old in text
  path.write_text(text.replace(old, new, 1))


def test_a_state_comes_back_with_its_config(checkpoints):
  save(checkpoints, 3, value=2.0)
  loaded = checkpoints.load(3)
  kernel = loaded.state['params']['kernel']
  np.testing.assert_array_equal(kernel, np.full((3, 2), 2.0))
  assert loaded.config.model.architecture == CONFIG.model.architecture
  assert loaded.step == 3 and loaded.interval == {'steps': 3}
  restored = restore_into(state(0), loaded.state)
  assert restored['step'] == 3
  assert restored['empty'] == {} and restored['none'] is None


def test_the_newest_and_the_best_are_kept(checkpoints, workdir):
  for step, top1 in enumerate([0.1, 0.9, 0.5, 0.4, 0.3, None], start=1):
    save(checkpoints, step, top1)
  assert checkpoints.steps() == [2, 5, 6]
  reader = Checkpoints(workdir)
  assert by_score(reader) == [2, 5] and reader.steps() == [2, 5, 6]


def test_steps_are_chosen_by_number_or_name(checkpoints):
  with pytest.raises(UserError, match='no checkpoints in'):
    choose.candidates(checkpoints, 'latest')
  save(checkpoints, 1)
  save(checkpoints, 2)
  assert choose.candidates(checkpoints, 'latest') == [2, 1]
  assert choose.candidates(checkpoints, '1') == [1]
  with pytest.raises(UserError, match='has been evaluated yet'):
    choose.candidates(checkpoints, 'best')
  for wanted in ('3', '-2', 'newest'):
    with pytest.raises(UserError, match=f"'{wanted}'.* 2"):
      choose.candidates(checkpoints, wanted)
  checkpoints.save_scores(1, {'top1': 0.9})
  checkpoints.save_scores(2, {'top1': 0.8})
  assert choose.candidates(checkpoints, 'best') == [1, 2]


def test_a_damaged_checkpoint_is_skipped_and_reported(
  checkpoints, workdir, capfd
):
  save(checkpoints, 1, value=1.0)
  save(checkpoints, 2, value=2.0)
  damage(checkpoints, 2)
  with pytest.raises(UserError, match='checkpoints/2'):
    checkpoints.load(2)
  assert choose.load_first_good(checkpoints, [2, 1]).step == 1
  assert 'checkpoints/2' in capfd.readouterr().err
  # Nothing is deleted: the fault may be temporary.
  checkpoints.set_aside_after(1)
  assert checkpoints.steps() == [1] and (workdir / 'damaged' / '2').is_dir()
  save(checkpoints, 2, value=3.0)
  assert checkpoints.load(2).state['params']['kernel'][0, 0] == 3


def test_when_all_are_damaged_none_is_used(checkpoints):
  for step in (1, 2):
    save(checkpoints, step)
    damage(checkpoints, step)
  with pytest.raises(UserError, match='all 2 checkpoints'):
    choose.load_first_good(checkpoints, [2, 1])
  assert checkpoints.steps() == [1, 2]


def test_a_stray_folder_is_skipped(checkpoints, workdir, capfd):
  save(checkpoints, 1)
  (checkpoints.folder / '9999').mkdir()
  (checkpoints.folder / 'notes').mkdir()
  assert restore.load_variables(workdir).step == 1
  assert 'checkpoints/9999 is damaged' in capfd.readouterr().err


@pytest.mark.parametrize(
  'old, new, message',
  [
    ('"seed": 0', '"seed": 8', 'the header differs from what was written'),
    ('"step": 1', '"step": 3', 'the header differs from what was written'),
    ('"arrays"', '"brrays"', 'its arrays differ from what was written'),
    ('{', '[', 'config/metadata is not JSON'),
  ],
)
def test_a_changed_header_is_detected(checkpoints, old, new, message):
  save(checkpoints, 1)
  edit(checkpoints.folder / '1' / 'config' / 'metadata', old, new)
  with pytest.raises(UserError, match=f'checkpoints/1 .*{message}'):
    checkpoints.load(1)


def test_a_renamed_checkpoint_is_detected(checkpoints):
  save(checkpoints, 1)
  (checkpoints.folder / '1').rename(checkpoints.folder / '5')
  with pytest.raises(UserError, match='checkpoints/5 .*step 1'):
    checkpoints.load(5)


def test_changed_or_foreign_scores_are_ignored(checkpoints, workdir, capfd):
  save(checkpoints, 1, top1=0.5)
  save(checkpoints, 2, top1=0.25)
  scores = [checkpoints.folder / str(step) / 'scores.json' for step in (1, 2)]
  edit(scores[0], '0.5', '0.1')
  assert by_score(checkpoints) == [2]
  assert 'checkpoints/1 are damaged' in capfd.readouterr().err
  scores[0].write_text(scores[1].read_text())
  assert by_score(Checkpoints(workdir)) == [2]
  assert 'those of another checkpoint' in capfd.readouterr().err


def test_a_checkpoint_of_version_0_2_is_read(checkpoints, workdir):
  save(checkpoints, 1)
  folder = checkpoints.folder / '1'
  header = json.loads((folder / 'config' / 'metadata').read_text())
  old = {'config': header['config'], 'digest': header['arrays']}
  (folder / 'config' / 'metadata').write_text(json.dumps(old))
  (folder / 'metrics').mkdir()
  (folder / 'metrics' / 'metrics').write_text('{"top1": 0.5, "examples": 40}')
  assert checkpoints.load(1).step == 1 and checkpoints.load(1).interval == {}
  assert by_score(checkpoints) == [1]
  edit(folder / 'metrics' / 'metrics', '}', '')
  assert by_score(checkpoints) == []
  old['digest'] = 'another'
  (folder / 'config' / 'metadata').write_text(json.dumps(old))
  with pytest.raises(UserError, match='checkpoints/1 .*arrays'):
    checkpoints.load(1)


def test_a_failed_write_is_one_line_and_keeps_earlier_checkpoints(
  checkpoints, monkeypatch
):
  save(checkpoints, 1)

  def full(*args, **kwargs):
    raise OSError(28, 'No space left on device')

  monkeypatch.setattr(checkpoints._io, 'save', full)
  with pytest.raises(NotWrittenError, match='No space left'):
    save(checkpoints, 2)
  assert checkpoints.steps() == [1]


def test_a_full_disk_is_noticed_before_anything_is_written(
  checkpoints, monkeypatch
):
  save(checkpoints, 1)
  usage = module.shutil.disk_usage(checkpoints.folder)._replace(free=20)
  monkeypatch.setattr(module.shutil, 'disk_usage', lambda folder: usage)
  with pytest.raises(NotWrittenError, match='28 bytes.* 20'):
    save(checkpoints, 2)
  assert [path.name for path in checkpoints.folder.iterdir()] == ['1']


def test_a_tree_that_does_not_fit_is_refused():
  tree = {'step': np.int32(1), 'params': {'kernel': np.zeros((3, 3))}}
  with pytest.raises(UserError, match=r'params/kernel is \(3, 3\).*\(3, 2\)'):
    restore_into(state(0), tree)
  with pytest.raises(UserError, match='checkpoint lacks params/kernel'):
    restore_into(state(0), {'step': jnp.zeros(())})
  extra = {**tree, 'params': {'kernel': np.zeros((3, 2)), 'z': np.zeros(1)}}
  with pytest.raises(UserError, match='network lacks params/z'):
    restore_into(state(0), extra)


def test_a_workdir_that_cannot_be_written_is_refused(workdir):
  (workdir / 'file').write_text('')
  with pytest.raises(UserError, match='write to .*file'):
    Checkpoints(workdir / 'file', keep=1)


def test_unfinished_checkpoints_of_a_killed_run_are_deleted(workdir):
  unfinished = workdir / 'checkpoints' / f'3{TMP_DIR_SUFFIX}'
  (unfinished / 'state').mkdir(parents=True)
  Checkpoints(workdir).steps()  # Reading changes nothing.
  assert unfinished.exists()
  Checkpoints(workdir, keep=2)
  assert not unfinished.exists()


def test_a_checkpoint_of_another_run_replaces_none_of_ours(checkpoints):
  save(checkpoints, 1)
  (checkpoints.folder / '9999').mkdir()
  save(checkpoints, 2)
  save(checkpoints, 3)
  assert checkpoints.steps() == [2, 3, 9999]


def test_scores_that_cannot_be_written_raise_the_same_error(
  checkpoints,
):
  save(checkpoints, 1)
  (checkpoints.folder / '1' / 'scores.json').mkdir()
  with pytest.raises(NotWrittenError, match='scores.json'):
    checkpoints.save_scores(1, {'top1': 0.5})


def test_damaged_scores_count_as_damage(checkpoints, workdir, capsys):
  save(checkpoints, 1, top1=0.25)
  edit(checkpoints.folder / '1' / 'scores.json', '0.25', '0.75')
  (entry,) = verify.verify(workdir)
  assert entry['damage'].startswith('the scores of checkpoint are damaged')
  assert by_score(checkpoints) == by_score(checkpoints) == []
  assert capsys.readouterr().err.count('warning: ') == 1


def test_scores_are_numbers(checkpoints, workdir):
  """A score that is not finite is null in the file."""
  save(checkpoints, 1)
  checkpoints.save_scores(1, {'top1': 0.5, 'loss': math.inf})
  assert math.isnan(checkpoints.scores.of(1)['loss'])
  (entry,) = verify.verify(workdir)
  assert entry['damage'] is None
  path = checkpoints.folder / '1' / 'scores.json'
  fields = json_text.unseal(json.loads(path.read_text()), '')
  for other in (5, None, {'top1': '0.5'}, {'top1': [0.5]}):
    path.write_text(json.dumps(json_text.seal({**fields, 'scores': other})))
    (entry,) = verify.verify(workdir)
    assert entry['damage'].endswith('the scores are not numbers')


def test_damaged_checkpoints_need_a_folder_to_move_to(checkpoints, workdir):
  save(checkpoints, 1)
  (workdir / 'damaged').write_text('')
  with pytest.raises(UserError, match='move .*checkpoint'):
    checkpoints.set_aside_after(0)
  assert checkpoints.steps() == [1]


@pytest.mark.parametrize('how', ['changed', 'gone', 'unreadable'])
def test_the_best_is_kept_when_its_scores_are_lost(
  how, workdir, monkeypatch, capsys
):
  with Checkpoints(workdir, keep=1) as checkpoints:
    for step, top1 in ((1, 0.9), (2, 0.1), (3, 0.2)):
      save(checkpoints, step, top1)
    assert checkpoints.steps() == [1, 3]
    scores = checkpoints.folder / '1' / 'scores.json'
  if how == 'gone':
    scores.unlink()
  elif how == 'changed':
    edit(scores, '0.9', '0.0')
  else:
    fail_to_open(monkeypatch, lambda path: path == scores, count=99)
  with Checkpoints(workdir, keep=1) as checkpoints:
    save(checkpoints, 4, 0.3)
    save(checkpoints, 5, 0.25)
    assert checkpoints.steps() == [1, 4, 5]
  warnings = capsys.readouterr().err.splitlines()
  assert len(warnings) == 1 and 'checkpoints/1' in warnings[0]


def fail_to_open(monkeypatch, matches, count, number=errno.EIO):
  """Makes files fail to open, `count` times."""
  open_file, left = paths.open_file, [count]

  def fail(path):
    if matches(paths.Path(path)) and left[0]:
      left[0] -= 1
      raise OSError(number, os.strerror(number), str(path))
    return open_file(path)

  monkeypatch.setattr(paths, 'open_file', fail)


def test_a_read_error_is_not_damage(checkpoints, monkeypatch, capsys):
  save(checkpoints, 1)
  save(checkpoints, 2)
  header = checkpoints.folder / '2' / 'config' / 'metadata'
  fail_to_open(monkeypatch, lambda path: path == header, count=1)
  assert choose.load_first_good(checkpoints, [2, 1]).step == 2
  assert 'Input/output error; trying again' in capsys.readouterr().err
  monkeypatch.setattr(reading, '_RETRY_SECONDS', 0.0)
  fail_to_open(monkeypatch, lambda path: path == header, count=99)
  with pytest.raises(UserError, match='cannot read checkpoint .*2: Input/out'):
    choose.load_first_good(checkpoints, [2, 1])


def test_an_error_that_orbax_hides_is_found(checkpoints, monkeypatch):
  """TensorStore raises its own error for a file that it cannot read."""
  save(checkpoints, 1)
  save(checkpoints, 2)
  folder = checkpoints.folder / '2' / 'state'
  read = module.OrbaxIO.restore

  def fail(self, path):
    raise ValueError('INTERNAL: a message of a library')

  monkeypatch.setattr(module.OrbaxIO, 'restore', fail)
  monkeypatch.setattr(reading, '_RETRY_SECONDS', 0.0)
  fail_to_open(
    monkeypatch, lambda path: path.is_relative_to(folder), 1, errno.EACCES
  )
  with pytest.raises(UserError, match='Permission denied') as error:
    checkpoints.load(2)
  assert not isinstance(error.value, reading.DamagedCheckpointError)
  # All files can be read: the content is wrong.
  with pytest.raises(reading.DamagedCheckpointError):
    checkpoints.load(2)
  monkeypatch.setattr(module.OrbaxIO, 'restore', read)
  assert checkpoints.load(2).step == 2


@pytest.mark.parametrize('name', ['a[b', 'a*', 'a?', 'a\\b', 'a\nb'])
def test_a_name_that_is_a_pattern_is_refused(name, workdir):
  with pytest.raises(UserError, match='has the character'):
    Checkpoints(workdir / name, keep=1)
  assert not (workdir / name).exists()


def test_files_beside_a_folder_are_not_deleted(workdir):
  """The name of the folder is not used as a pattern."""
  other = workdir / 'b' / f'1{TMP_DIR_SUFFIX}1'
  other.mkdir(parents=True)
  (workdir / '[ab]').mkdir()
  tidy.delete_unfinished(workdir / '[ab]')
  assert other.exists()


def test_a_failed_last_checkpoint_ends_the_run_with_an_error(
  checkpoints, monkeypatch, capsys
):
  """The evaluation that follows waits for it and gets the error first."""
  config = default.get_config().unlock()
  config.checkpoint.on_full = 'continue'
  saver = Saver(checkpoints, config, {})
  monkeypatch.setattr(distributed, 'same_everywhere', lambda *_: None)
  failing = iter([OSError(errno.ENOSPC, 'No space left on device')])

  def wait(io):
    for error in failing:
      raise error

  saver.save(state(1), {}, {}, is_last=True)
  # Delete what the background thread wrote, as on a full disk.
  checkpoints.wait()
  shutil.rmtree(checkpoints.folder / '1')
  monkeypatch.setattr(module.OrbaxIO, 'wait', wait)
  saver.save_scores(1, {'top1': 0.5})
  with pytest.raises(NotWrittenError, match='No space left'):
    saver.finish()

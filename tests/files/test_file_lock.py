"""File locks, and file systems that do not support them."""

import errno
import fcntl

import pytest

from inception import paths
from inception.files import file_lock


def test_a_lock_lasts_as_long_as_its_context(tmp_path):
  path = paths.resolve(tmp_path / 'x.lock')
  with file_lock.locked(path, wait=True) as first:
    assert first is not None
    with file_lock.locked(path, wait=False) as second:
      assert second is None
  with file_lock.locked(path, wait=False) as third:
    assert third is not None


def test_a_file_system_without_locks_only_gives_a_warning(
  tmp_path, monkeypatch, capsys
):
  def fail(number):
    def flock(*_):
      raise OSError(number, 'no')

    monkeypatch.setattr(fcntl, 'flock', flock)

  path = paths.resolve(tmp_path / 'x.lock')
  fail(errno.ENOLCK)
  with file_lock.locked(path, wait=False) as file:
    assert file is not None
  assert (
    f'the file system of {tmp_path} has no locks' in capsys.readouterr().err
  )
  fail(errno.EIO)
  with pytest.raises(OSError), file_lock.locked(path, wait=False):
    pass

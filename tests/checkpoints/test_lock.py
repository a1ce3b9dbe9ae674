"""The workdir lock: one writer; released however the process ends."""

import signal
import subprocess
import sys

import pytest

from inception import paths
from inception.checkpoints.lock import WorkdirLock
from inception.errors import UserError

HOLD = """
import sys, time
from inception import paths
from inception.checkpoints.lock import WorkdirLock
with WorkdirLock(paths.resolve(sys.argv[1])) as lock:
  lock.make_workdir()
  print('locked', flush=True)
  time.sleep(60)
"""


def test_a_workdir_is_locked_until_its_process_ends(tmp_path):
  workdir = paths.resolve(tmp_path / 'run')
  command = [sys.executable, '-c', HOLD, str(workdir)]
  with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
    assert holder.stdout.readline() == 'locked\n'
    with pytest.raises(UserError, match=f'is in use by process {holder.pid} '):
      WorkdirLock(workdir)
    holder.send_signal(signal.SIGKILL)
  with WorkdirLock(workdir) as lock:
    lock.make_workdir()
    with pytest.raises(UserError, match='is in use by'):
      WorkdirLock(workdir)
  WorkdirLock(workdir).__exit__()


def test_a_workdir_is_made_only_when_asked(tmp_path):
  workdir = paths.resolve(tmp_path / 'run')
  with WorkdirLock(workdir) as lock:
    assert not workdir.exists()
    lock.make_workdir()
    assert workdir.is_dir()


def test_only_one_of_two_locks_gets_a_new_workdir(tmp_path):
  workdir = paths.resolve(tmp_path / 'run')
  slow = WorkdirLock(workdir)
  with WorkdirLock(workdir) as fast:
    fast.make_workdir()
    with pytest.raises(UserError, match='is in use by'):
      slow.make_workdir()
    (workdir / 'checkpoints').mkdir()
  with pytest.raises(UserError, match='another run has just used'):
    slow.make_workdir()

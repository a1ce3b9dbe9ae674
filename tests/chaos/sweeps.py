"""SIGKILL of whole sweeps: runs end bit-identical to an unbroken sweep."""

import importlib.util
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

from tests.chaos.kills import check_equal

# Four runs that save and evaluate often.
_ARGUMENTS = (
  '--config=tests/tiny.py',
  '--config.num_steps=120',
  '--config.checkpoint_every_epochs=0.05',
  '--config.eval_every_epochs=0.2',
  '--sweep=loss.label_smoothing=0.0,0.1',
  '--seeds=2',
  '--parallel=2',
)
_RUNS = 4
_HANGS = 600.0  # Seconds.
# Seconds that the runs of a killed sweep may take to end: Ray's own processes
# have to notice first.
_ENDS = 120.0


def run(folder: pathlib.Path, kills: int, seed: int) -> dict[str, object]:
  """Kills a sweep of each engine `kills` times; returns what happened.

  Raises:
    AssertionError: A run differs from the unbroken one, was restarted after
      it had ended, or is still running after the sweep was killed.
  """
  counts: dict[str, object] = {}
  generator = random.Random(seed)
  engines = ['local'] + ['ray'] * (importlib.util.find_spec('ray') is not None)
  for engine in engines:
    # Engines give runs different numbers of cores, which changes last bits.
    whole, killed = folder / f'whole_{engine}', folder / f'killed_{engine}'
    begin = time.monotonic()
    _end(_start(whole, engine))
    seconds = time.monotonic() - begin
    ends = [
      _kill(killed, engine, generator.uniform(seconds / 4, seconds))
      for _ in range(kills)
    ]
    _end(_start(killed, engine))
    runs = sorted(path.parent.name for path in whole.glob('*/metrics.jsonl'))
    assert len(runs) == _RUNS
    for name in runs:
      check_equal(killed / name, whole / name)
    counts[engine] = {'kills': kills, 'runs ended before each': ends}
  return counts


def _start(workdir: pathlib.Path, engine: str) -> subprocess.Popen:
  return subprocess.Popen(
    [
      *(sys.executable, '-m', 'inception.sweeps', f'--workdir={workdir}'),
      *(f'--engine={engine}', *_ARGUMENTS),
    ],
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
    start_new_session=True,
  )


def _end(process: subprocess.Popen) -> None:
  output, _ = process.communicate(timeout=_HANGS)
  assert process.returncode == 0, output


def _kill(workdir: pathlib.Path, engine: str, seconds: float) -> int:
  """Kills a sweep after some seconds; returns how many runs had ended."""
  before = _ended(workdir)
  process = _start(workdir, engine)
  time.sleep(seconds)
  os.killpg(process.pid, signal.SIGKILL)
  process.communicate()
  after = _ended(workdir)
  latest = time.monotonic() + _ENDS
  while left := _processes(workdir):
    assert time.monotonic() < latest, f'still there after {_ENDS} s: {left}'
    time.sleep(0.1)
  assert _ended(workdir) == after, 'a run went on without its sweep'
  for name, log in before.items():
    assert after[name] == log, f'{name} was started again'
  return len(after)


def _processes(workdir: pathlib.Path) -> str:
  """Returns the processes that have a path among their arguments."""
  found = subprocess.run(['pgrep', '-fa', str(workdir)], capture_output=True)
  return found.stdout.decode()


def _ended(workdir: pathlib.Path) -> dict[str, str]:
  """Returns the logs of the runs that have ended."""
  return {
    path.parent.name: (path.parent / 'log.txt').read_text()
    for path in workdir.glob('*/sweep_status.json')
    if json.loads(path.read_text())['status'] == 'finished'
  }

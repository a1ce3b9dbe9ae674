"""SIGKILL at random moments: the run ends as if nothing had happened."""

import contextlib
import json
import pathlib
import random
import subprocess
import time

import numpy as np
from tensorboard.backend.event_processing import event_accumulator

from inception import paths
from inception.checkpoints import arrays
from inception.checkpoints.store import Checkpoints
from tests import waiting

# Saves and evaluates often.
_STEP = 16 / 1437  # In epochs.
_FLAGS = (
  '--config.num_steps=120',
  '--config.log_every_steps=7',
  f'--config.checkpoint_every_epochs={5 * _STEP}',
  f'--config.eval_every_epochs={20 * _STEP}',
  '--config.distributed.timeout_seconds=5',
)


def run(folder: pathlib.Path, kills: int, seed: int, count: int):
  """Kills runs of `count` processes; returns what happened.

  Raises:
    AssertionError: A run differs from the unbroken one.
  """
  whole = folder / 'whole'
  begin = time.monotonic()
  results = waiting.finish(_start(whole, count))
  seconds = time.monotonic() - begin
  assert [status for status, _, _ in results] == [0] * count, results
  generator = random.Random(seed)
  counts = {'kills': 0, 'during saves': 0, 'runs': 0, 'starts': 0}
  while counts['kills'] < kills:
    counts['runs'] += 1
    workdir = folder / f'run{counts["runs"]}'
    _kill_until_done(workdir, kills, generator, seconds, count, counts)
    check_equal(workdir, whole)
  assert counts['during saves'] >= kills // 3, counts
  return counts


def _start(workdir, count):
  return waiting.start(
    'train', workdir, *_FLAGS, processes=count, devices=4 // count
  )


def _kill_until_done(workdir, kills, generator, seconds, count, counts):
  while True:
    counts['starts'] += 1
    started = _start(workdir, count)
    if counts['kills'] < kills:
      victim = started[generator.randrange(count)]
      saving = generator.random() < 0.6
      if saving:
        killed = _kill_while_saving(started, victim, workdir, generator)
      else:
        killed = _kill_later(started, victim, generator.uniform(0, seconds))
      counts['kills'] += killed
      counts['during saves'] += killed and saving
    results = waiting.finish(started)
    text = str(results)
    assert 'Traceback' not in text and 'damaged' not in text, text
    statuses = {status for status, _, _ in results}
    if statuses == {0}:
      return
    # The other processes report the kill and exit with the restart status.
    assert statuses <= {-9, 75, 0}, results


def _kill_later(started, victim, seconds) -> bool:
  with contextlib.suppress(subprocess.TimeoutExpired):
    victim.wait(seconds)
  return _kill(started, victim)


def _kill_while_saving(started, victim, workdir, generator) -> bool:
  """Kills after one of the next saves has begun."""
  saves = generator.randrange(1, 6)
  seen = set()
  while _all_run(started):
    seen |= set((workdir / 'checkpoints').glob('*.orbax-checkpoint-tmp*'))
    if len(seen) >= saves:
      time.sleep(generator.uniform(0, 0.01))
      return _kill(started, victim)
  return False


def _kill(started, victim) -> bool:
  if not _all_run(started):
    return False
  victim.kill()
  return True


def _all_run(started) -> bool:
  return all(process.poll() is None for process in started)


def check_equal(workdir: pathlib.Path, whole: pathlib.Path) -> None:
  """Checks that two runs have bit-identical final states and equal logs.

  Raises:
    AssertionError: Names the first difference.
  """
  ours, theirs = _final_state(workdir), _final_state(whole)
  assert ours.keys() == theirs.keys()
  for name in ours:
    np.testing.assert_array_equal(ours[name], theirs[name], name)
  assert _rows(workdir) == _rows(whole)
  assert _events(workdir) == _events(whole)
  files = [
    sorted(
      path.name
      for part in ('.', 'checkpoints')
      for path in (root / part).iterdir()
    )
    for root in (workdir, whole)
  ]
  assert files[0] == files[1], files


def _final_state(workdir):
  with Checkpoints(paths.resolve(workdir)) as checkpoints:
    return arrays.flatten(checkpoints.load(checkpoints.steps()[-1]).state)


def _rows(workdir):
  lines = (workdir / 'metrics.jsonl').read_text().splitlines()
  rows = map(json.loads, lines)
  return [(r['step'], r['split'], r['loss'], r['top1']) for r in rows]


def _events(workdir):
  accumulator = event_accumulator.EventAccumulator(
    str(workdir / 'tensorboard')
  ).Reload()
  return {
    tag: [(event.step, event.value) for event in accumulator.Scalars(tag)]
    for tag in accumulator.Tags()['scalars']
    if tag.endswith(('/loss', '/top1'))
  }

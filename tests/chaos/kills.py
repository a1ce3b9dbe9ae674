"""SIGKILL at random moments: the run ends as if nothing had happened."""

import json
import pathlib
import random
import time

import numpy as np
from tensorboard.backend.event_processing import event_accumulator

from inception import paths
from inception.checkpoints import arrays
from inception.checkpoints.store import Checkpoints
from tests import tiny
from tests.chaos.children import Children

_HANGS = 180.0  # Seconds.


def make_config():
  """A run of 120 steps that saves and evaluates often."""
  config = tiny.get_config()
  step = config.batch_size / 1437  # In epochs.
  config.num_steps = 120
  config.log_every_steps = 7
  config.checkpoint_every_epochs = 5 * step
  config.eval_every_epochs = 20 * step
  config.distributed.timeout_seconds = 5.0
  return config


def run(context, folder: pathlib.Path, kills: int, seed: int, processes: int):
  """Kills runs until `kills` is reached; returns what happened.

  Raises:
    AssertionError: A run differs from the unbroken one.
  """
  config = make_config()
  whole = folder / 'whole'
  children = Children(context, config, whole, folder / 'whole.log', processes)
  begin = time.monotonic()
  statuses = children.join(_HANGS)
  seconds = time.monotonic() - begin
  assert statuses == [0] * processes, (folder / 'whole.log').read_text()
  generator = random.Random(seed)
  counts = {'kills': 0, 'during saves': 0, 'runs': 0, 'starts': 0}
  while counts['kills'] < kills:
    counts['runs'] += 1
    workdir = folder / f'run{counts["runs"]}'
    _kill_until_done(
      context, config, workdir, kills, generator, seconds, processes, counts
    )
    check_equal(workdir, whole)
  assert counts['during saves'] >= kills // 3, counts
  return counts


def _kill_until_done(
  context, config, workdir, kills, generator, seconds, processes, counts
):
  log = workdir.with_suffix('.log')
  while True:
    counts['starts'] += 1
    children = Children(context, config, workdir, log, processes)
    if counts['kills'] < kills:
      victim = generator.randrange(processes)
      saving = generator.random() < 0.6
      if saving:
        killed = _kill_while_saving(children, victim, workdir, generator)
      else:
        killed = _kill_later(children, victim, generator.uniform(0, seconds))
      counts['kills'] += killed
      counts['during saves'] += killed and saving
    statuses = children.join(_HANGS)
    assert None not in statuses, f'hangs: {log.read_text()}'
    text = log.read_text()
    assert 'Traceback' not in text and 'damaged' not in text, text
    if statuses == [0] * processes:
      return
    # The others say so, and end with the status that asks for a restart.
    assert set(statuses) <= {-9, 75, 0}, (statuses, text)


def _kill_later(children, victim, seconds) -> bool:
  children.processes[victim].join(seconds)
  return _kill(children, victim)


def _kill_while_saving(children, victim, workdir, generator) -> bool:
  """Kills after one of the next saves has begun."""
  saves = generator.randrange(1, 6)
  seen = set()
  while children.running():
    seen |= set((workdir / 'checkpoints').glob('*.orbax-checkpoint-tmp*'))
    if len(seen) >= saves:
      time.sleep(generator.uniform(0, 0.01))
      return _kill(children, victim)
  return False


def _kill(children, victim) -> bool:
  if not children.running():
    return False
  children.kill(victim)
  return True


def check_equal(workdir: pathlib.Path, whole: pathlib.Path) -> None:
  """Checks that a run ended in the bits and with the logs of another.

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

"""Damaged files give either a clear error line or the right numbers."""

import collections
import contextlib
import gc
import io
import json
import math
import pathlib
import random
import shutil
import traceback

import jax

from inception import paths
from inception.checkpoints import verify
from inception.checkpoints.store import Checkpoints
from inception.errors import UserError
from inception.evaluation.workdir import open_workdir
from inception.observing import metrics
from inception.training import loop
from tests import tiny
from tests.chaos import kills

_KINDS = ('truncated', 'flipped', 'empty', 'folder')


def run(folder: pathlib.Path, cases: int, seed: int) -> dict:
  """Damages one file at a time; returns the count of each outcome.

  Raises:
    AssertionError: A traceback or a wrong number.
  """
  good = _make_good(folder)
  generator = random.Random(seed)
  answers: collections.Counter[str] = collections.Counter()
  work = folder / 'damaged'
  for case in range(cases):
    if case % 20 == 19:
      # Compiled programs stay in memory until they are cleared.
      jax.clear_caches()
      gc.collect()
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(folder / 'good', work)
    files = sorted(path for path in work.rglob('*') if path.is_file())
    # Damage the data set as often as the workdir, which has more files.
    kind = generator.choice(('data', 'run'))
    files = [path for path in files if path.relative_to(work).parts[0] == kind]
    path = generator.choice(files)
    how = damage(path, generator)
    name = f'case {case}: {path.relative_to(work)} {how}'
    try:
      for answer in _answers(work, good):
        answers[answer] += 1
    except BaseException as error:
      traceback.print_exc()
      raise AssertionError(f'{name}: {error!r}') from error
  return {'cases': cases, **answers}


def damage(path: pathlib.Path, generator: random.Random) -> str:
  """Damages a file at random; returns how."""
  content = bytearray(path.read_bytes())
  kind = generator.choice(_KINDS if content else ('folder',))
  if kind == 'truncated':
    position = generator.randrange(len(content))
    path.write_bytes(content[:position])
    return f'truncated at {position}'
  if kind == 'flipped':
    bit = generator.randrange(8 * len(content))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    return f'with bit {bit} flipped'
  path.unlink()
  if kind == 'folder':
    path.mkdir()
  else:
    path.write_bytes(b'')
  return kind


def _config(data: pathlib.Path):
  config = tiny.get_config()
  step = config.batch_size / 1437  # In epochs.
  config.num_steps = 6
  config.checkpoint_every_epochs = config.eval_every_epochs = 2 * step
  config.data.data_dir = str(data)
  config.data.retry_seconds = 0.0
  return config


def _make_good(folder: pathlib.Path) -> dict:
  """Makes a workdir and its data set; returns their correct results."""
  root = folder / 'good'
  # The path of the data set is part of the config.
  work = folder / 'damaged'
  shutil.rmtree(work, ignore_errors=True)
  work.mkdir(parents=True)
  config = _config(work / 'data')
  loop.train(config, work / 'run', jax.devices()[:1])
  shutil.copytree(work, root)
  steps = Checkpoints(paths.resolve(work / 'run')).steps()
  return {
    'rows': _rows(work / 'run'),
    'results': {
      step: open_workdir(work / 'run', str(step)).results() for step in steps
    },
    'state': kills._final_state(work / 'run'),
  }


def _answers(work: pathlib.Path, good: dict):
  """Runs every operation; yields 'right' or 'refused' for each."""
  errors = io.StringIO()
  with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(errors):
    for use in (_evaluate, _read_rows, _verify, _resume):
      try:
        yield use(work, good)
      except UserError as error:
        assert len(str(error)) < 600, str(error)
        yield f'{use.__name__[1:]} refused'
  assert 'Traceback' not in errors.getvalue(), errors.getvalue()


def _evaluate(work, good):
  for step in ('latest', 'best'):
    results = open_workdir(
      work / 'run', step, devices=jax.devices()[:1]
    ).results()
    expected = good['results'][results['step']]
    assert results.keys() == expected.keys()
    for name, value in results.items():
      if isinstance(value, float):
        assert math.isclose(value, expected[name], rel_tol=1e-6), (name, value)
      else:
        assert value == expected[name], (name, value)
  return 'evaluate right'


def _read_rows(work, good):
  rows = _rows(work / 'run')
  assert set(rows) <= set(good['rows']), set(rows) - set(good['rows'])
  return 'rows right'


def _rows(workdir):
  return [
    json.dumps(row, sort_keys=True)
    for row in metrics.read_rows(paths.resolve(workdir))
  ]


def _verify(work, good):
  for entry in verify.verify(paths.resolve(work / 'run')):
    assert entry['damage'] or entry['step'] in good['results'], entry
  return 'verify right'


def _resume(work, good):
  # Resume from an earlier checkpoint, so that there is something to do.
  last = max(good['results'])
  shutil.rmtree(work / 'run' / 'checkpoints' / str(last), ignore_errors=True)
  loop.train(_config(work / 'data'), work / 'run', jax.devices()[:1])
  state = kills._final_state(work / 'run')
  for name, array in good['state'].items():
    assert (state[name] == array).all(), name
  rows = {(r['step'], r['split']): r['loss'] for r in _parsed(work / 'run')}
  for row in map(json.loads, good['rows']):
    key = row['step'], row['split']
    assert rows.get(key, row['loss']) == row['loss'], key
  return 'resume right'


def _parsed(workdir):
  return metrics.read_rows(paths.resolve(workdir))

"""Trackers get every row once, even after faults."""

import glob
import json
import pathlib
import struct
import sys
import threading

import pytest

from inception import paths
from inception.errors import UserError
from inception.observing import trackers
from inception.training import loop
from tests.runs import ONE, rows

# Raised inside MLflow and W&B.
pytestmark = pytest.mark.filterwarnings('ignore')


class Memory:
  """An in-process tracking service, which may be down."""

  def __init__(self):
    self.down = False
    self.rows = []
    self.arrived = threading.Event()

  def open(self, workdir, run, config):
    if self.down:
      raise ConnectionError('nobody is there')
    self.id, self.config = run, config
    return self

  def log(self, step, values, when):
    if self.down:
      raise ConnectionError('nobody is there')
    self.rows.append((step, values))
    self.arrived.set()

  def close(self):
    pass


@pytest.fixture
def memory(monkeypatch):
  service = Memory()
  monkeypatch.setitem(trackers.TRACKERS, 'memory', lambda: service.open)
  monkeypatch.setattr(trackers, '_LAST_SECONDS', 5.0)
  return service


def open_tracker(tmp_path, logged=()):
  return trackers.Tracker('memory', paths.resolve(tmp_path), {'a': 1}, logged)


def row(step, split='train'):
  return {'step': step, 'split': split, 'loss': 1.0 / step, 'time': 0.0}


ROWS = [row(1), row(1, 'val'), row(2), row(3), row(3, 'val')]


def sent(service):
  return [(step, *values) for step, values in service.rows]


ALL = [(r['step'], f'{r["split"]}/loss') for r in ROWS]


def test_every_row_is_sent_once(memory, tmp_path):
  tracker = open_tracker(tmp_path)
  for each in ROWS:
    tracker.write(each)
  tracker.close()
  assert sent(memory) == ALL and memory.config == {'a': 1}
  # A resumed run knows its id, and repeats nothing.
  first = memory.id
  tracker = open_tracker(tmp_path, ROWS[:3])  # As after a kill.
  for each in (*ROWS[3:], row(4)):
    tracker.write(each)
  tracker.close()
  assert sent(memory) == [*ALL, (4, 'train/loss')] and memory.id == first


@pytest.mark.parametrize(
  'fields', [{}, {'id': 'x', 'sent': None}, {'id': 'x', 'sent': ['a']}, None]
)
def test_a_damaged_position_sends_all_rows_again(memory, tmp_path, fields):
  text = json.dumps(fields and {'name': 'memory', **fields})
  (tmp_path / 'tracker.json').write_text(text)
  open_tracker(tmp_path, [row(1)]).close()
  assert [step for step, _ in memory.rows] == [1]


def test_nothing_is_lost_when_a_tracker_is_down(memory, tmp_path, capsys):
  tracker = open_tracker(tmp_path)
  tracker.write(ROWS[0])
  assert memory.arrived.wait(60), 'the first row has not arrived'
  memory.down = True
  for each in ROWS[1:]:
    tracker.write(each)
  tracker.close()
  error = capsys.readouterr().err
  assert 'memory has not received 4 rows: nobody is there; start' in error
  memory.down = False
  open_tracker(tmp_path, ROWS).close()
  assert sent(memory) == ALL


def test_a_run_is_trained_while_its_tracker_is_down(
  config, memory, tmp_path, capsys
):
  config.tracker, config.log_every_steps = 'memory', 3
  memory.down = True
  loop.train(config, tmp_path, ONE)
  assert 'has not received 3 rows' in capsys.readouterr().err
  memory.down = False
  loop.train(config, tmp_path, ONE)  # Only sending is left to do.
  assert [step for step, _ in memory.rows] == [
    r['step'] for r in rows(tmp_path)
  ]
  top1 = [r['top1'] for r in rows(tmp_path)]
  found = [
    value
    for _, values in memory.rows
    for name, value in values.items()
    if name.endswith('/top1')
  ]
  assert found == top1


@pytest.mark.slow
def test_mlflow_gets_the_rows(config, tmp_path, monkeypatch):
  mlflow = pytest.importorskip('mlflow')
  uri = f'sqlite:///{tmp_path}/m.db'
  monkeypatch.setenv('MLFLOW_TRACKING_URI', uri)
  monkeypatch.setattr(trackers, '_LAST_SECONDS', 100.0)
  config.tracker, config.num_steps, config.log_every_steps = 'mlflow', 2, 1
  loop.train(config, tmp_path / 'run', ONE)
  client = mlflow.MlflowClient(tracking_uri=uri)
  experiment = client.get_experiment_by_name('inception')
  (run,) = client.search_runs([experiment.experiment_id])
  assert run.info.run_name == 'run' and run.data.params['num_steps'] == '2'
  history = client.get_metric_history(run.info.run_id, 'train/loss')
  logged = [r for r in rows(tmp_path / 'run') if r['split'] == 'train']
  assert {m.step: m.value for m in history} == {
    r['step']: r['loss'] for r in logged
  }


def records(path):
  """Yields the records of a W&B file, which is a LevelDB log."""
  data, position, parts = pathlib.Path(path).read_bytes(), 7, b''
  while position + 7 <= len(data):
    if 32_768 - position % 32_768 < 7:  # No header fits into the block.
      position += 32_768 - position % 32_768
      continue
    length, kind = struct.unpack_from('<HB', data, position + 4)
    parts += data[position + 7 : position + 7 + length]
    position += 7 + length
    if kind in (1, 4):  # Whole, or the last part.
      yield parts
      parts = b''


@pytest.mark.slow
def test_wandb_gets_the_rows_without_a_network(config, tmp_path, monkeypatch):
  pytest.importorskip('wandb')
  from wandb.proto import wandb_internal_pb2

  monkeypatch.setenv('WANDB_MODE', 'offline')
  monkeypatch.setattr(trackers, '_LAST_SECONDS', 100.0)
  config.tracker, config.num_steps, config.log_every_steps = 'wandb', 2, 1
  loop.train(config, tmp_path, ONE)
  (path,) = glob.glob(f'{tmp_path}/wandb/offline-run-*/run-*.wandb')
  found = {}
  for data in records(path):
    record = wandb_internal_pb2.Record()
    record.ParseFromString(data)
    values = {
      '/'.join(item.nested_key) or item.key: json.loads(item.value_json)
      for item in record.history.item
    }
    if 'train/loss' in values:
      found[record.history.step.num] = values['train/loss']
  logged = [r for r in rows(tmp_path) if r['split'] == 'train']
  assert found == {r['step']: r['loss'] for r in logged}


def test_unknown_or_missing_trackers_are_refused(config, tmp_path, monkeypatch):
  config.tracker = 'excel'
  with pytest.raises(UserError, match="tracker='excel'.*wandb"):
    loop.train(config, tmp_path, ONE)
  monkeypatch.setitem(sys.modules, 'wandb', None)  # As if not installed.
  config.tracker, config.num_steps = 'wandb', 1
  with pytest.raises(UserError, match=r"pip install 'inception-jax\[trackers"):
    loop.train(config, tmp_path, ONE)

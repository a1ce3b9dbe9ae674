"""The inference benchmark times the network that it reports."""

import json
import tarfile
import types

import jax
import numpy as np
import pytest

from benchmarks import emoji, inference, peers
from inception import paths
from inception.checkpoints import weights
from inception.errors import UserError
from inception.evaluation.workdir import open_workdir
from inception.modules.create import model_from_config
from tests.variables import random_variables


@pytest.fixture(autouse=True)
def one_device(monkeypatch):
  devices = jax.local_devices()[:1]
  monkeypatch.setattr(jax, 'local_devices', lambda *_, **__: devices)


@pytest.fixture
def flags(monkeypatch):
  values = types.SimpleNamespace(
    architectures=['tiny'],
    workdirs=[],
    precisions=['float32'],
    batch_sizes=['2'],
    what='inference',
    peers=[],
    rounds=2,
    output=None,
    json=True,
  )
  monkeypatch.setattr(inference.flags, 'FLAGS', values)
  monkeypatch.setattr(inference, '_SECONDS', 0.0)
  return values


def results(capsys):
  inference.main()
  return json.loads(capsys.readouterr().out.splitlines()[-1])['results']


def test_every_precision_is_timed_and_described(flags, capsys):
  flags.precisions = ['bfloat16', 'int8']
  flags.batch_sizes = ['2', '3']
  rows = results(capsys)
  assert [(r['batch_size'], r['precision']) for r in rows] == [
    (size, precision) for size in (2, 3) for precision in flags.precisions
  ]
  for row in rows:
    assert row['project'] == 'ours' and row['architecture'] == 'tiny'
    assert row['parameters'] == rows[0]['parameters'] > 0
    assert row['macs'] == rows[0]['macs'] > 0
    assert row['calls'] == 2 * flags.rounds  # At least two per round.
    assert 0 < row['median_ms'] <= row['p95_ms']
    assert row['images_per_second'] == pytest.approx(
      1000 * row['batch_size'] / row['median_ms']
    )
    assert row['peak_bytes'] > 0 and row['compile_seconds'] > 0


def test_training_steps_are_timed(flags, capsys):
  flags.architectures, flags.what = ['tiniest'], 'training'
  flags.precisions = ['bfloat16']
  (row,) = results(capsys)
  assert (row['kind'], row['precision']) == ('training', 'bfloat16')
  assert row['images_per_second'] > 0 and row['peak_bytes'] > 0


def test_peers_take_turns_with_ours(flags, capsys, monkeypatch):
  calls = []

  def make(name, precision, rows, size):
    if precision != 'float32':
      return None
    return lambda: calls.append((name, precision, rows, size))

  monkeypatch.setattr(peers, 'installed', lambda what: {'other': make})
  flags.peers = None
  flags.precisions = ['float32', 'bfloat16']
  rows = results(capsys)
  assert [(r['project'], r['precision']) for r in rows] == [
    ('ours', 'float32'),
    ('other', 'float32'),
    ('ours', 'bfloat16'),
  ]
  assert len(calls) == 2 + rows[1]['calls']  # One more per round.
  assert set(calls) == {('tiny', 'float32', 2, 16)}


def test_the_accuracy_of_a_workdir_is_reported(flags, capsys, config, tmp_path):
  config.model.architecture, config.model.num_classes = 'tiniest', 10
  model = model_from_config(config)
  images = np.zeros((1, 16, 16, 3), np.float32)
  weights.write(
    paths.resolve(tmp_path), random_variables(model, images), config
  )
  flags.architectures, flags.workdirs = [], [str(tmp_path)]
  flags.precisions = ['float32', 'int8']
  plain, quantized = results(capsys)
  scores = open_workdir(tmp_path, devices=jax.local_devices()).results()
  for name in ('top1', 'top5', 'dataset', 'data_dir'):
    assert plain[name] == scores[name]
  assert plain['workdir'] == str(tmp_path)
  assert abs(quantized['top1'] - plain['top1']) < 0.2


@pytest.mark.parametrize(
  'field, value, message',
  [
    ('batch_sizes', ['0'], '--batch_sizes=0'),
    ('precisions', ['int4'], "--precisions='int4'"),
    ('architectures', ['vgg'], "'vgg'"),
    ('peers', ['nobody'], "--peers='nobody'"),
  ],
)
def test_wrong_input_is_reported(flags, field, value, message):
  setattr(flags, field, value)
  with pytest.raises(UserError, match=message):
    inference.main()


def test_installed_peers_are_found_by_their_packages(monkeypatch):
  monkeypatch.setattr(
    peers.importlib.util, 'find_spec', lambda name: name != 'onnx'
  )
  assert 'onnxruntime' not in peers.installed()
  assert {'torchvision', 'timm', 'keras'} <= peers.installed().keys()


def test_emoji_are_sorted_by_category(tmp_path):
  listing = [
    {'category': category, 'image': f'{i}.png', 'has_img_google': has}
    for i, (category, has) in enumerate(
      [('Food & Drink', True), ('Flags', True), ('Component', True)]
      + [('Flags', False)]
    )
  ]
  source = tmp_path / 'package'
  (source / 'img/google/64').mkdir(parents=True)
  (source / 'emoji.json').write_text(json.dumps(listing))
  for i in range(3):
    (source / f'img/google/64/{i}.png').write_bytes(b'picture %d' % i)
  with tarfile.open(tmp_path / 'a.tgz', 'w:gz') as archive:
    archive.add(source, 'package')
  count = emoji.write_pictures(tmp_path / 'a.tgz', 'google', tmp_path / 'train')
  files = sorted((tmp_path / 'train').glob('*/*'))
  assert count == 2
  assert [f'{f.parent.name}/{f.name}' for f in files] == [
    'flags/google_1.png',
    'food/google_0.png',
  ]
  assert files[0].read_bytes() == b'picture 1'

"""Weights by name, from the table of published ones or a repository."""

import contextlib
import io
import json
import os
import subprocess
import tarfile

import numpy as np
import pytest
import safetensors.numpy
import tensorflow as tf

from inception import load_pretrained
from inception.checkpoints.restore import load_config
from inception.data.pixels.eval_transforms import EVAL_TRANSFORMS
from inception.errors import UserError
from inception.pretrained import by_name, published
from inception.pretrained.projects import PROJECTS
from tests import warm
from tests.parity import peers
from tests.pretrained import web
from tests.pretrained.web import Page

CLASSES = 3
TIMM = {
  'architecture': 'inception_v3',
  'num_classes': CLASSES,
  'pretrained_cfg': {
    'tag': 'tv_in1k',
    'input_size': [3, 75, 75],
    'interpolation': 'bicubic',
    'crop_pct': 0.9,
    'crop_mode': 'center',
    'mean': [0.5, 0.4, 0.3],
    'std': [0.5, 0.25, 0.2],
    'label_names': ['cat', 'dog', 'owl'],
  },
}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
  monkeypatch.setenv('INCEPTION_HOME', str(tmp_path / 'cache'))
  monkeypatch.setenv('HF_HUB_CACHE', str(tmp_path / 'hub'))
  monkeypatch.chdir(tmp_path)
  return tmp_path / 'cache'


@pytest.fixture
def server(monkeypatch):
  """A server that also acts as the Hub."""
  with web.serve() as running:
    monkeypatch.setenv('HF_ENDPOINT', running.url)
    yield running


@pytest.fixture(scope='module')
def slim():
  """The arrays of an Inception v1, and an archive as TF-slim publishes them."""
  arrays = peers.formula_arrays('slim_inception_v1_slim', CLASSES)
  return arrays, archive({'inception_v1.ckpt': arrays})


def archive(checkpoints):
  """Returns a .tar.gz with checkpoints of version 1, each in one file."""
  content = io.BytesIO()
  with tarfile.open(fileobj=content, mode='w:gz', compresslevel=1) as tar:
    for name, arrays in checkpoints.items():
      tf.raw_ops.Save(
        filename=name,
        tensor_names=list(arrays),
        data=[tf.constant(array) for array in arrays.values()],
      )
      tar.add(name)
      os.remove(name)
  return content.getvalue()


@pytest.fixture(scope='module')
def timm():
  """A file of timm's Inception v3."""
  return safetensors.numpy.save(
    peers.formula_arrays('timm_inception_v3', CLASSES)
  )


@contextlib.contextmanager
def rows_at(monkeypatch, url):
  """Moves the published files to another address."""
  rows = {
    name: published.dataclasses.replace(
      row, urls=(f'{url}/{row.urls[0].rpartition("/")[2]}',), hash=None
    )
    for name, row in published.rows().items()
  }
  with monkeypatch.context() as patch:
    patch.setattr(published, 'rows', lambda: rows)
    yield


def test_rows_describe_all_published_weights():
  rows = published.rows()
  assert len(rows) == 21
  assert len({url for row in rows.values() for url in row.urls}) == 22
  for name, row in rows.items():
    assert name == row.name and row.transform in EVAL_TRANSFORMS
    assert row.architecture in PROJECTS[row.project].networks
    assert {8: 'sha256', 64: 'sha256', 32: 'md5', 0: None}[
      len(row.hash or '')
    ] == row.hash_kind
    assert row.license and row.source
  assert rows['inception_v3.tv_in1k'].top1 == 77.472
  assert rows['inception_v3.torchvision'].top1 == 77.294


def test_an_archive_of_slim_is_fetched_and_converted_once(
  server, slim, monkeypatch, capsys
):
  arrays, content = slim
  server.pages['/inception_v1_2016_08_28.tar.gz'] = Page(content)
  with rows_at(monkeypatch, server.url):
    network = load_pretrained('inception_v1.slim')
    again = by_name.find('inception_v1.slim')
  assert len(server.requests) == 1
  assert 'no hash is published' in capsys.readouterr().err
  config = load_config(again)
  assert config.model.architecture == 'inception_v1_slim'
  assert config.data.eval_transform == 'slim'
  assert config.provenance.file.endswith('inception_v1_2016_08_28.tar.gz')
  kernel = network.variables['params']['Conv2d_1a_7x7']['kernel']
  wanted = arrays['InceptionV1/Conv2d_1a_7x7/weights']
  np.testing.assert_array_equal(kernel, wanted)


def test_a_repository_states_its_preprocessing(server, timm, home):
  base = '/owner/net/resolve/v1.0'
  server.pages[f'{base}/config.json'] = Page(json.dumps(TIMM).encode())
  server.pages[f'{base}/model.safetensors'] = Page(timm)
  folder = by_name.find('hf:owner/net@v1.0')
  config = load_config(folder)
  assert config.model.architecture == 'inception_v3_torchvision'
  assert tuple(config.data.class_names) == ('cat', 'dog', 'owl')
  assert config.data.image_size == 75
  np.testing.assert_allclose(config.data.mean, (127.5, 102, 76.5))
  np.testing.assert_allclose(config.data.std, (127.5, 63.75, 51))
  assert (config.data.crop_pct, config.data.interpolation) == (0.9, 'bicubic')
  asked = len(server.requests)
  assert by_name.find('hf:owner/net@v1.0') == folder
  assert len(server.requests) == asked


@pytest.mark.parametrize(
  ('content', 'words'),
  [
    ({'architecture': 'resnet50'}, 'holds resnet50'),
    ({**TIMM, 'pretrained_cfg': 'x'}, 'model.bin does not exist'),
    ([], 'not an Inception network'),
    ('{', 'is not JSON'),
    (None, 'does not exist'),
  ],
)
def test_other_repositories_are_refused(server, content, words):
  page = Page(status=404)
  if content is not None:
    text = content if isinstance(content, str) else json.dumps(content)
    page = Page(text.encode())
  server.pages['/owner/net/resolve/main/config.json'] = page
  with pytest.raises(UserError, match=words):
    by_name.load('hf:owner/net')


@pytest.mark.parametrize(
  'fault', ['x', {'mean': 'abc'}, {'input_size': [float('inf')]}]
)
def test_a_repository_without_preprocessing_is_refused(server, timm, fault):
  base = '/owner/net/resolve/main'
  cfg = fault if fault == 'x' else {**TIMM['pretrained_cfg'], **fault}
  fields = json.dumps({**TIMM, 'pretrained_cfg': cfg})
  server.pages[f'{base}/config.json'] = Page(fields.encode())
  server.pages[f'{base}/model.safetensors'] = Page(timm)
  with pytest.raises(UserError, match='must give the preprocessing as'):
    by_name.load('hf:owner/net')


def test_a_damaged_file_and_a_wrong_name_leave_nothing(server, timm, home):
  for name in ('..', 'runs/x', 'hf:a/../b'):
    with pytest.raises(UserError):
      by_name.load(name)
  assert not home.exists()
  base = '/owner/net/resolve/main'
  server.pages[f'{base}/config.json'] = Page(b'{')
  with pytest.raises(UserError, match='is not JSON'):
    by_name.load('hf:owner/net')
  server.pages[f'{base}/config.json'] = Page(json.dumps(TIMM).encode())
  server.pages[f'{base}/model.safetensors'] = Page(timm[:1_000_000])
  with pytest.raises(UserError, match='cannot read'):
    by_name.load('hf:owner/net')
  server.pages[f'{base}/model.safetensors'] = Page(timm)
  assert load_config(by_name.load('hf:owner/net')).data.image_size == 75


@pytest.mark.usefixtures('python')
def test_the_command_lists_and_fetches(server, slim, tmp_path):
  def run(*flags):
    return subprocess.run(
      [warm.python(), '-m', 'inception.pretrained', *flags],
      capture_output=True,
      text=True,
      check=False,
    )

  listed = run('--list', '--json').stdout.splitlines()
  assert len(listed) == 1 + 21 + 1
  assert json.loads(listed[-1])[0]['name'] == 'googlenet.torchvision'
  for flags, words in (
    (['--name=inception_v3.tv_in2k'], 'did you mean inception_v3.tv_in1k'),
    (['--name=inception_v3.slim', '--file=a'], '--file describes a file'),
    (['--name=hf:a/b', f'--output={tmp_path}/out'], 'config.json does not'),
  ):
    done = run(*flags)
    assert done.returncode == 2 and words in done.stderr
    assert done.stderr.count('\n') == 1
  assert not (tmp_path / 'out').exists()


@pytest.mark.slow
@pytest.mark.usefixtures('python')
def test_training_starts_from_a_name(server, timm, tmp_path, image_folder):
  """One download; tests/test_docs.py has commands that predict and evaluate."""
  base = '/owner/net/resolve/main'
  server.pages[f'{base}/config.json'] = Page(json.dumps(TIMM).encode())
  server.pages[f'{base}/model.safetensors'] = Page(timm)
  command = [
    *(warm.python(), '-m', 'inception.training', f'--workdir={tmp_path}/run'),
    *('--config.pretrained=hf:owner/net', '--config.data.image_size=75'),
    '--config.model.architecture=inception_v3_torchvision',
    *('--config.model.width=1.0', '--config.model.batch_norm_scale=True'),
    f'--config.data.data_dir={image_folder}',
    *('--config.data.dataset=folder', '--config.data.eval_split=val'),
    *('--config.num_steps=1', '--config.batch_size=8'),
    '--config.schedule.warmup_epochs=0.0',
  ]
  # One step takes less time than optimizing its program.
  environment = {
    **os.environ,
    'XLA_FLAGS': '--xla_backend_optimization_level=0',
  }
  done = subprocess.run(
    command, env=environment, capture_output=True, text=True, check=False
  )
  assert done.returncode == 0, done.stderr
  assert 'hf:owner/net' in (tmp_path / 'run' / 'config.json').read_text()
  files = [path for path, _ in server.requests if path.endswith('safetensors')]
  assert len(files) == 1


def test_names_and_paths(tmp_path):
  with pytest.raises(UserError, match=r'did you mean inception_v3\.tv_in1k'):
    by_name.find('inception_v3.tv_in2k')
  with pytest.raises(UserError, match='must be hf:owner/name'):
    by_name.find('hf:net')
  assert by_name.find('runs/digits') == by_name.paths.Path('runs/digits')
  (tmp_path / 'inception_v3.slim').mkdir()
  assert not by_name.is_name('inception_v3.slim')
  assert by_name.find('inception_v3.slim').name == 'inception_v3.slim'


@pytest.mark.parametrize(
  ('content', 'words'),
  [
    (b'no archive', 'is damaged'),
    (archive({}), 'contains no TensorFlow checkpoint'),
  ],
  ids=['no archive', 'empty'],
)
def test_damaged_archives(server, monkeypatch, content, words, home):
  server.pages['/inception_v1_2016_08_28.tar.gz'] = Page(content)
  with (
    rows_at(monkeypatch, server.url),
    pytest.raises(UserError, match=words),
  ):
    by_name.load('inception_v1.slim')
  assert not list(home.rglob('v1'))

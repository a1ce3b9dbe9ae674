"""The command from the shell, and what can be done with its checkpoint."""

import json
import subprocess
import sys

import jax
import numpy as np
import optax
import pytest

from inception import load_pretrained
from inception.data import folder, images
from inception.errors import UserError
from inception.evaluation import restore
from inception.pretrained import load, preprocessing
from tests.pretrained.test_matching import arrays_of, write_checkpoint


def run(*arguments):
  return subprocess.run(
    [sys.executable, '-m', 'inception.pretrained', *arguments],
    capture_output=True,
    text=True,
    check=False,
  )


@pytest.fixture(scope='module')
def imported(tmp_path_factory):
  """Weights of slim's Inception-v1 with a background and two classes."""
  root = tmp_path_factory.mktemp('slim')
  arrays = arrays_of('slim_inception_v1_slim', 3)
  write_checkpoint(root / 'model.ckpt', arrays)
  done = run(
    '--from=slim', f'--file={root}/model.ckpt', f'--output={root}/v1', '--json'
  )
  assert done.returncode == 0, done.stderr
  return root / 'v1', json.loads(done.stdout.splitlines()[-1]), arrays


def test_the_checkpoint_records_where_it_comes_from(imported):
  path, report, _ = imported
  assert report['architecture'] == 'inception_v1_slim'
  assert report['num_classes'] == 3 and len(report['sha256']) == 64
  config = load.load_variables(path).config
  assert config.provenance.project == 'slim'
  assert config.provenance.sha256 == report['sha256']
  assert config.model.batch_norm_scale is False
  assert config.data.class_offset == 1
  assert (config.data.eval_preset, config.data.eval_crop) == ('slim', 0.875)
  assert list(config.data.mean) == [127.5] * 3


def test_evaluation_needs_nothing_but_the_data(imported, image_folder):
  path, _, arrays = imported
  results = restore.evaluate_workdir(
    path,
    split='val',
    batch_size=5,
    dataset='folder',
    data_dir=str(image_folder),
    devices=jax.local_devices()[:1],
  )
  network = load_pretrained(path)
  listed = folder.list_images(image_folder / 'val')
  logits = network(network.read(listed.paths)).logits
  labels = np.array(listed.labels) + 1  # Behind the background.
  losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
  assert results['examples'] == 13
  assert results['loss'] == pytest.approx(float(losses.mean()), rel=1e-4)
  right = np.argmax(logits, -1) == labels
  assert results['top1'] == pytest.approx(right.mean())
  bias = network.variables['params']['Logits']['Logits']['bias']
  np.testing.assert_array_equal(
    bias, arrays['InceptionV1/Logits/Conv2d_0c_1x1/biases']
  )


def test_features_are_at_named_endpoints(imported, image_folder):
  network = load_pretrained(imported[0])
  path = next((image_folder / 'val' / 'cat').iterdir())
  outputs = network(network.read([path]), endpoints=True)
  assert outputs.endpoints['Mixed_4f'].shape == (1, 14, 14, 832)
  assert outputs.endpoints['PreLogits'].shape == (1, 1024)
  with pytest.raises(UserError, match='no such file'):
    network.read([image_folder / 'nothing.png'])


def test_data_with_other_classes_is_refused(imported, tmp_path):
  with pytest.raises(UserError, match='has 10 classes, the network .* has 2'):
    restore.evaluate_workdir(imported[0], split='test', dataset='digits')


@pytest.mark.parametrize(
  'arguments, message',
  [
    (['--file=a.pth', '--output=o'], '--from is missing'),
    (['--from=slim', '--output=o'], '--file is missing'),
    (['--from=slim', '--file=a.ckpt', '--output=o'], 'no such file: a.ckpt'),
    (['--from=caffe'], 'slim|keras|torchvision|timm|fid|facenet'),
    (
      ['--from=timm', '--file=a', '--output=o', '--preprocessing=x'],
      '--preprocessing=x is not one of slim',
    ),
  ],
)
def test_wrong_input_is_one_line(arguments, message):
  done = run(*arguments)
  assert done.returncode == 2
  assert message in done.stderr and done.stderr.count('\n') == 1


def test_a_folder_with_a_checkpoint_is_not_written_again(imported):
  path = imported[0]
  done = run('--from=slim', f'--file={path}/../model.ckpt', f'--output={path}')
  assert done.returncode == 2 and 'already has a checkpoint' in done.stderr


@pytest.mark.parametrize(
  'name, architecture, short_side',
  [
    ('torchvision', 'inception_v3_torchvision', 342),
    ('torchvision', 'inception_v1_torchvision', 256),
    ('timm', 'inception_v4', 341),
    ('timm_inception_resnet_v2', 'inception_resnet_v2', 333),
    ('slim', 'inception_v3', None),
  ],
)
def test_preprocessing_resizes_as_the_project_does(
  name, architecture, short_side, config
):
  config.unlock()
  preprocessing.set_data_config(config.data, name, architecture)
  assert images.eval_protocol(config.data).short_side == short_side

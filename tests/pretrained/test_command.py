"""The command in a shell, and uses of its checkpoint."""

import dataclasses
import functools
import json
import subprocess

import jax
import numpy as np
import optax
import pytest

from inception import load_pretrained, paths
from inception.checkpoints import weights
from inception.checkpoints.restore import load_variables
from inception.data import class_names
from inception.data.pixels import eval_transforms
from inception.data.sources import listing
from inception.errors import UserError
from inception.evaluation import workdir
from inception.pretrained import conversion
from inception.pretrained.formats.content import Statement
from inception.pretrained.import_file import make_config
from tests import warm
from tests.parity import peers
from tests.pretrained.formats.test_detect import write_checkpoint

pytestmark = pytest.mark.usefixtures('python')


def run(*arguments):
  return subprocess.run(
    [warm.python(), '-m', 'inception.pretrained', *arguments],
    capture_output=True,
    text=True,
    check=False,
  )


@pytest.fixture(scope='module')
def imported(tmp_path_factory):
  """Weights of TF-slim's Inception v1 with a background and two classes."""
  root = tmp_path_factory.mktemp('slim')
  arrays = peers.formula_arrays('slim_inception_v1_slim', 3)
  write_checkpoint(root / 'model.ckpt', arrays)
  done = run(
    *('--from=slim', f'--file={root}/model.ckpt', f'--output={root}/v1'),
    *('--class_offset=1', '--json'),
  )
  assert done.returncode == 0, done.stderr
  return root / 'v1', json.loads(done.stdout.splitlines()[-1]), arrays


def test_the_checkpoint_records_its_origin(imported):
  path, report, _ = imported
  assert report['architecture'] == 'inception_v1_slim'
  assert report['num_classes'] == 3 and len(report['sha256']) == 64
  config = load_variables(path).config
  assert config.provenance.project == 'slim'
  assert config.provenance.sha256 == report['sha256']
  assert config.model.batch_norm_scale is False
  assert config.data.class_offset == 1
  assert (config.data.eval_transform, config.data.image_size) == ('slim', 224)
  assert eval_transforms.eval_transform(config.data).crop_pct == 0.875
  assert list(config.data.mean) == [127.5] * 3


@pytest.fixture(scope='module')
def classified(imported):
  """The network and its compiled outputs, with all endpoints."""
  network = load_pretrained(imported[0])

  @jax.jit
  def outputs(variables, images):
    with_variables = dataclasses.replace(network, variables=variables)
    return with_variables(images, endpoints=True)

  return network, functools.partial(outputs, network.variables)


def test_evaluation_needs_only_the_data(imported, classified, image_folder):
  path, _, arrays = imported
  results = workdir.open_workdir(
    path,
    split='val[4:9]',
    batch_size=3,
    dataset='folder',
    data_dir=str(image_folder),
    devices=jax.local_devices()[:1],
  ).results()
  network, outputs = classified
  listed = listing.list_images(image_folder / 'val')
  logits = outputs(network.read(listed.files[4:9])).logits
  labels = np.array(listed.labels[4:9]) + 1  # The background is class 0.
  losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
  assert results['examples'] == 5
  assert results['loss'] == pytest.approx(float(losses.mean()), rel=1e-4)
  is_right = np.argmax(logits, -1) == labels
  assert results['top1'] == pytest.approx(is_right.mean())
  bias = network.variables['params']['Logits']['Logits']['bias']
  np.testing.assert_array_equal(
    bias, arrays['InceptionV1/Logits/Conv2d_0c_1x1/biases']
  )


def test_features_are_at_named_endpoints(imported, image_folder):
  network = load_pretrained(imported[0])
  path = next((image_folder / 'val' / 'cat').iterdir())
  outputs = jax.eval_shape(
    functools.partial(network, endpoints=True), network.read([path])
  )
  assert outputs.endpoints['Mixed_4f'].shape == (1, 14, 14, 832)
  assert outputs.endpoints['PreLogits'].shape == (1, 1024)
  with pytest.raises(UserError, match='nothing.png: No such file'):
    network.read([image_folder / 'nothing.png'])


@pytest.fixture(scope='module')
def headless(imported, tmp_path_factory):
  """The same without a classifier, for BGR images in [0, 1]."""
  _, _, arrays = imported
  root = tmp_path_factory.mktemp('headless')
  trunk = {k: v for k, v in arrays.items() if '/Logits/' not in k}
  write_checkpoint(root / 'model.ckpt', trunk)
  done = run(
    *(f'--file={root}/model.ckpt.index', f'--output={root}/v1'),
    *('--mean=0', '--std=255,254,253', '--channel_order=BGR'),
  )
  assert done.returncode == 0, done.stderr
  assert done.stderr.count('\n') == 1 and 'no classifier' in done.stderr
  return root / 'v1'


def test_a_network_without_a_classifier_gives_features(
  headless, classified, image_folder
):
  network = load_pretrained(headless)
  data = network.config.data
  assert (data.mean, data.std) == ([0.0] * 3, [255.0, 254.0, 253.0])
  assert (data.channel_order, data.class_names) == ('BGR', None)
  files = listing.list_images(image_folder / 'val').files[:5]
  whole, outputs = classified
  pixels = whole.read(files) * 127.5 + 127.5
  scaled = (pixels / np.array([255, 254, 253], np.float32))[..., ::-1]
  wanted = outputs(scaled).endpoints['PreLogits']
  np.testing.assert_allclose(network.features(files), wanted, atol=1e-4)
  with pytest.raises(UserError, match='no classifier, only features'):
    network.predict(files)
  with pytest.raises(UserError, match='no classifier.*--config.pretrained'):
    workdir.open_workdir(
      headless, dataset='folder', data_dir=str(image_folder), split='val'
    ).results()


def test_class_names_come_from_a_file(imported, tmp_path):
  _, _, arrays = imported
  write_checkpoint(tmp_path / 'model.ckpt', arrays)
  (tmp_path / 'names.txt').write_text('cat\ndog\n')
  (tmp_path / 'short.txt').write_text('cat\n')
  file = f'--file={tmp_path}/model.ckpt'
  offset = '--class_offset=1'
  done = run(
    file, offset, f'--output={tmp_path}/a', f'--classes={tmp_path}/names.txt'
  )
  assert done.returncode == 0, done.stderr
  config = load_variables(paths.resolve(tmp_path / 'a')).config
  assert class_names.of_logits(config.data, 3) == ('background', 'cat', 'dog')
  done = run(file, f'--output={tmp_path}/b', f'--classes={tmp_path}/short.txt')
  assert done.returncode == 2 and 'the network has 3 classes' in done.stderr
  done = run(file, f'--output={tmp_path}/b', '--mean=1,2')
  assert done.returncode == 2 and '--mean=1,2 must be a number' in done.stderr
  assert not (tmp_path / 'b').exists()


def test_data_with_other_classes_is_refused(imported):
  with pytest.raises(UserError, match='10 classes.* 2'):
    workdir.open_workdir(imported[0], split='test', dataset='digits').results()


@pytest.mark.parametrize(
  'arguments, message',
  [
    (['--from=slim', '--output=o'], '--file'),
    (['--file=README.md', '--output=o'], 'README.md'),
    (
      ['--from=slim', '--file=a.ckpt', '--output=o'],
      'read a.ckpt: No such file',
    ),
    (['--from=caffe'], 'slim|keras|torchvision|timm|fid|facenet'),
    (
      ['--from=timm', '--preprocessing=x'],
      '--preprocessing=x',
    ),
  ],
)
def test_wrong_input_is_refused_in_one_line(arguments, message):
  done = run(*arguments)
  assert done.returncode == 2
  assert message in done.stderr and done.stderr.count('\n') == 1


def test_a_checkpoint_is_not_overwritten(imported, config):
  with pytest.raises(UserError, match='already has a checkpoint'):
    weights.write(imported[0], {}, config)


@pytest.mark.parametrize(
  'project, architecture, name, short_side',
  [
    ('torchvision', 'inception_v3_torchvision', 'torchvision', 342),
    ('torchvision', 'inception_v1_torchvision', 'torchvision', 256),
    ('timm', 'inception_v4', 'timm', 341),
    ('timm', 'inception_resnet_v2', 'timm_inception_resnet_v2', 333),
    ('slim', 'inception_v3', 'slim', None),
  ],
)
def test_images_are_resized_as_the_project_does(
  project, architecture, name, short_side
):
  weights = conversion.Imported(project, architecture, 10, False, True, {})
  assert eval_transforms.transform_name(project, architecture) == name
  origin = {'project': project, 'preprocessing': name}
  config = make_config(weights, origin, Statement())
  transform = eval_transforms.eval_transform(config.data)
  assert transform.resized_side(config.data.image_size) == short_side


@pytest.mark.parametrize('classes, offset', [(1000, 0), (1001, 1), (999, None)])
def test_networks_of_imagenet_are_known_by_their_class_count(classes, offset):
  imported = conversion.Imported(
    'timm', 'inception_v4', classes, False, True, {}, ()
  )
  origin = {'project': 'timm', 'preprocessing': 'timm'}
  config = make_config(imported, origin, Statement())
  names = config.data.class_names
  assert (names is None) == (offset is None)
  assert config.data.class_offset == (offset or 0)
  assert names is None or names[0] == 'n01440764'


def test_statements_of_a_file_are_recorded():
  imported = conversion.Imported(
    'keras', 'inception_v3', 3, False, False, {}, ()
  )
  said = Statement(107, (0.0, 1.0, 2.0), (255.0, 254.0, 253.0), 'sigmoid')
  config = make_config(
    imported, {'project': 'keras', 'preprocessing': 'keras'}, said
  )
  assert config.data.image_size == 107
  assert config.data.mean == (0.0, 1.0, 2.0)
  assert config.data.std == (255.0, 254.0, 253.0)
  assert config.model.activation == 'sigmoid'

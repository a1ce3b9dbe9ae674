"""Crops, ensembles, subsets of classes, ReaL labels, precisions."""

import json
import types

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
import pytest

from inception import load_pretrained, paths
from inception.checkpoints import weights
from inception.checkpoints.restore import load_variables
from inception.data.batches import HostShard
from inception.data.pixels import multi_crop
from inception.data.pixels.images import eval_images
from inception.data.tensorflow import tf
from inception.errors import UserError
from inception.evaluation import real_labels
from inception.evaluation.ensemble import average_members
from inception.evaluation.members import Procedure
from inception.evaluation.workdir import open_workdir
from inception.modules.create import model_from_config
from inception.predict.predictor import CROPS, Predictor, average_crops
from inception.quantization.quantize import Calibration, quantize_loaded
from tests.variables import random_variables

ONE = jax.devices()[:1]
SCORES = ('examples', 'loss', 'top1', 'top5')


def write(folder, config, seed=0):
  """Writes a checkpoint of random weights."""
  side = config.data.image_size
  model = model_from_config(config)
  variables = random_variables(model, np.zeros((1, side, side, 3), np.float32))
  generator = np.random.default_rng(seed)
  kernel = variables['params']['Logits']['Logits']['kernel']
  # A different classifier for each seed, with confident outputs.
  variables['params']['Logits']['Logits']['kernel'] = (
    3 * generator.normal(size=kernel.shape)
  ).astype(np.float32)
  weights.write(paths.resolve(folder), variables, config)
  return folder


@pytest.fixture
def of_folder(config, image_folder):
  config.model.architecture = 'tiniest'
  config.data.dataset = 'folder'
  config.data.data_dir = str(image_folder)
  config.data.eval_split = 'val'
  config.model.num_classes = 2
  return config


@pytest.fixture
def one(of_folder, tmp_path):
  return write(tmp_path / 'one', of_folder)


@pytest.fixture
def other(of_folder, tmp_path):
  """A second network, for larger images."""
  of_folder.data.image_size = 20
  return write(tmp_path / 'other', of_folder, seed=1)


def scores(*workdirs, **fields):
  results = open_workdir(
    workdirs, devices=fields.pop('devices', ONE), protocol=Procedure(**fields)
  ).results()
  return {name: results[name] for name in SCORES}


def close(one, other):
  assert one['loss'] == pytest.approx(other['loss'], rel=1e-4)
  assert {**one, 'loss': 0} == {**other, 'loss': 0}


def test_an_ensemble_of_a_network_with_itself_is_the_network(one):
  close(scores(one, one), scores(one))


def test_an_ensemble_averages_probabilities(one, other):
  """The networks take images of different sizes, on several devices."""
  both = open_workdir([one, other], devices=jax.devices(), batch_size=8)
  total = 0
  for workdir in (one, other):
    member = open_workdir(workdir, devices=ONE)
    (batch,) = member.batches()
    logits = member.predictor(member.variables, batch['image'][0])
    total += jax.nn.softmax(logits) / 2
    labels = np.asarray(batch['label'][0])
  results = both.results()
  count = results['examples']
  assert count == 13 and results['networks'] == [str(one), str(other)]
  right = total.argmax(1)[:count] == labels[:count]
  assert results['top1'] == pytest.approx(right.mean())
  own = np.take_along_axis(np.asarray(total), labels[:, None], 1)[:count]
  assert results['loss'] == pytest.approx(-np.log(own).mean(), rel=1e-4)


def test_an_ensemble_with_an_int8_network_has_no_compiler_options():
  float32, int8 = (
    types.SimpleNamespace(
      predictor=Predictor(lambda *_: 0, options),
      activation='softmax',
      pixels='',
    )
    for options in ({'some': True}, {})
  )
  assert average_members([float32, float32]).options == {'some': True}
  assert average_members([float32, int8]).options == {}


def test_networks_with_different_classes_are_refused(one, of_folder, tmp_path):
  of_folder.data.class_names = ('dog', 'cat')
  swapped = write(tmp_path / 'swapped', of_folder)
  with pytest.raises(UserError, match='same classes in the same order'):
    open_workdir([one, swapped], devices=ONE)


def test_every_square_gives_two_crops():
  assert set(multi_crop.SQUARES) == set(CROPS.values()) - {1}
  assert all(crops == 2 * CROPS[crops] for crops in CROPS if crops > 1)


def encoded(pixels):
  return tf.constant([tf.io.encode_png(pixels).numpy()])


@pytest.mark.parametrize('squares', multi_crop.SQUARES)
@pytest.mark.parametrize('transform', ['inception', 'torchvision'])
def test_squares_of_one_color_are_that_color(config, squares, transform):
  config.data.eval_transform = transform
  pixels = np.full((40, 50, 3), (200, 100, 50), np.uint8)
  found = eval_images(encoded(pixels), config.data, squares).numpy()
  assert found.shape == (1, squares, 16, 16, 3)
  assert (found == (200, 100, 50)).all()


def test_the_144_crops_are_where_the_paper_says(config):
  """The image is twice as wide as high, and its colors encode positions."""
  config.data.eval_transform = 'torchvision'
  config.data.image_size = 224
  row, column = np.mgrid[0:256, 0:512]
  pixels = np.stack([row, column // 2, 0 * row], -1).astype(np.uint8)
  found = eval_images(encoded(pixels), config.data, 72)[0].numpy()
  # The first scale is not resized. This checks the first pixel of each corner
  # and center crop of the left, the central and the right square.
  firsts = found[:18, 0, 0, :2].astype(int).reshape(3, 6, 2)
  for square, left in zip(firsts, (0, 128, 256)):
    places = [(0, 0), (0, 32), (32, 0), (32, 32), (16, 16)]
    wanted = [(y, (left + x) // 2) for y, x in places]
    assert [tuple(place) for place in square[:5]] == wanted
  # The sixth crop is the whole square, from edge to edge.
  whole = found[5].astype(int)
  assert whole[0, 0].max() <= 1 and whole[-1, -1, 0] >= 254
  assert 126 <= whole[-1, -1, 1] <= 128
  # The last scale: 352 pixels high, so crops show less of the picture.
  assert found[54, -1, 0, 0] == pytest.approx(256 * 224 / 352, abs=2)
  # With 12 crops, only the central square of the first scale is used.
  twelve = eval_images(encoded(pixels), config.data, 6)[0].numpy()
  np.testing.assert_array_equal(twelve, found[6:12])


def test_crops_average_probabilities_including_mirror_images():
  def predict(variables, images):
    return images[:, 0, :2, 0].astype(jnp.float32) * variables

  images = np.random.default_rng(0).integers(0, 9, (3, 12, 2, 4, 3))
  images = images.astype(np.uint8)
  averaged = average_crops(Predictor(predict))
  found = averaged(jnp.float32(0.5), jnp.asarray(images))
  total = 0
  for square in range(12):
    for mirrored in (images, images[:, :, :, ::-1]):
      logits = predict(0.5, jnp.asarray(mirrored[:, square]))
      total += jax.nn.softmax(logits) / 24
  np.testing.assert_allclose(np.exp(found), total, rtol=1e-5)


def test_crops_do_not_matter_for_single_color_images(
  of_folder, image_folder, one
):
  for i, path in enumerate(sorted(image_folder.glob('val/*/*'))):
    color = (20 * i, 255 - 20 * i, 100)
    path.unlink()
    Image.new('RGB', (40, 30), color).save(path.with_suffix('.png'))
  plain = scores(one)
  close(scores(one, crops=12), plain)
  close(scores(one, crops=144, devices=jax.devices()), plain)


def test_predictions_can_be_limited_to_a_subset(of_folder, tmp_path):
  of_folder.data.class_names = ('cat', 'dog', 'elk')  # No elk images.
  of_folder.model.num_classes = 3
  one = write(tmp_path / 'three', of_folder)
  plain = open_workdir(one, devices=ONE)
  (batch,) = plain.batches()
  logits = plain.predictor(plain.variables, batch['image'][0])
  labels = np.asarray(batch['label'][0])[:13]
  chosen = np.where(labels == 0)[0]
  results = open_workdir(
    one, devices=ONE, protocol=Procedure(only=(2, 0))
  ).results()
  right = np.asarray(logits)[chosen, 0] > np.asarray(logits)[chosen, 2]
  assert results['examples'] == 6 and results['classes'] == [2, 0]
  assert results['top1'] == pytest.approx(right.mean())
  assert results['top5'] == 1 and np.isfinite(results['loss'])
  close(scores(one, only=(1, 0, 2)), scores(one))
  with pytest.raises(UserError, match='no example of the split has one'):
    scores(one, only=(2,))
  with pytest.raises(UserError, match='3; .* classes 0'):
    scores(one, only=(3,))


def test_any_of_the_real_labels_counts_as_correct(image_folder, one, tmp_path):
  files = sorted(image_folder.glob('val/*/*'))
  for number, path in enumerate(files, 1):
    path.rename(path.with_name(f'ILSVRC2012_val_{number:08d}{path.suffix}'))
  path = tmp_path / 'real.json'

  def results(labels):
    path.write_text(json.dumps(labels))
    return open_workdir(
      one, devices=jax.devices(), protocol=Procedure(labels=str(path))
    ).results()

  own = [[0]] * 6 + [[1]] * 7  # The labels of the folders.
  plain = open_workdir(one, devices=ONE).results()
  found = results(own)
  assert found['labels'] == 'real' and found['top1'] == plain['top1']
  assert results([[0, 1]] * 13)['top1'] == 1
  fewer = results([[]] * 6 + [[1]] * 7)
  assert fewer['examples'] == 7
  with pytest.raises(UserError, match='is not in the validation split'):
    results(own[:5])
  path.write_text('{"a": 1}')
  with pytest.raises(UserError, match='not a list of lists'):
    real_labels.read(str(path), None)
  with pytest.raises(UserError, match='https://'):
    real_labels.read('real', str(tmp_path / 'nowhere'))


def test_int8_is_close_to_float32_and_can_be_saved(one, tmp_path):
  calibration = Calibration(8, 'max')
  quantized = scores(one, precision='int8', calibration=calibration)
  plain = scores(one)
  assert quantized['loss'] != plain['loss']
  assert quantized['loss'] == pytest.approx(plain['loss'], rel=0.2)
  loaded = load_variables(paths.resolve(one))
  config, variables = quantize_loaded(
    one, loaded, loaded.config.data, calibration
  )
  folder = tmp_path / 'int8'
  weights.write(paths.resolve(folder), variables, config)
  assert scores(folder) == quantized
  with pytest.raises(UserError, match='int8, not'):
    scores(folder, precision='float32')
  with pytest.raises(UserError, match='is already quantized'):
    quantize_loaded(
      folder, load_variables(paths.resolve(folder)), config.data, calibration
    )
  network = load_pretrained(folder)
  images = jnp.zeros((2, 16, 16, 3))
  outputs = network(images, endpoints=True)
  assert outputs.logits.shape == (2, 2)
  exact = load_pretrained(one)(images, endpoints=True)
  assert outputs.endpoints.keys() == exact.endpoints.keys()
  for name, grid in exact.endpoints.items():
    largest = np.abs(grid).max()
    np.testing.assert_allclose(
      outputs.endpoints[name], grid, atol=0.1 * largest
    )
  with pytest.raises(UserError, match='int8 network has no gradients'):
    network.explain(1)
  with pytest.raises(UserError, match='is not quantized; for int8'):
    load_pretrained(one, precision='int8')


def test_a_network_without_a_classifier_is_not_quantized(one):
  loaded = load_variables(paths.resolve(one))
  loaded.config.model.num_classes = 0
  with pytest.raises(UserError, match='has no classifier'):
    quantize_loaded(one, loaded, loaded.config.data, Calibration())


@pytest.mark.parametrize('label', ['-1', 'true', 'NaN', '1.0'])
def test_real_labels_are_indices(label, tmp_path):
  path = tmp_path / 'real.json'
  path.write_text(f'[[{label}]]')
  with pytest.raises(UserError, match='integers from 0'):
    real_labels.read(str(path), None)


def test_a_real_label_beyond_the_classes_is_reported():
  labels = real_labels.RealLabels(
    [[5000]], lambda _: 'ILSVRC2012_val_00000001.JPEG', 0, 1000
  )
  batch = {'mask': np.ones((1, 1)), 'label': np.zeros((1, 1), int)}
  with pytest.raises(UserError, match='label 5000; .* 1,000 classes'):
    labels.relabel(batch, 0, HostShard(1, 1))

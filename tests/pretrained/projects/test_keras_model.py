"""Preprocessing and last activation of Keras models, as Keras has them."""

import keras
import numpy as np
import pytest
import tf_keras

from inception import paths
from inception.errors import UserError
from inception.pretrained.formats import files

# Raised inside Keras.
pytestmark = pytest.mark.filterwarnings(
  'ignore:__array__ implementation', 'ignore:You are saving your model'
)

SIZE = 9
PIXELS = np.array([[[[0.0, 128.0, 255.0], [255.0, 1.0, 70.0]]]], np.float32)

KERAS = {'3': keras, '2': tf_keras}


def adapted(k):
  layer = k.layers.Normalization()
  layer.adapt(np.random.default_rng(0).uniform(0, 255, (4, 3, 3, 3)))
  return layer


# Layers in front of a network, as functions of Keras and the images.
FRONTS = {
  'rescaling': lambda k, x: k.layers.Rescaling(1 / 255.0)(x),
  'offset': lambda k, x: k.layers.Rescaling(1 / 127.5, -1.0)(x),
  'given': lambda k, x: k.layers.Normalization(
    mean=[123.0, 117.0, 104.0], variance=[3000.0, 2000.0, 1000.0]
  )(x),
  'adapted': lambda k, x: adapted(k)(x),
  'operations': lambda k, x: k.applications.inception_v3.preprocess_input(
    k.Sequential([k.layers.RandomFlip(), k.layers.RandomRotation(0.2)])(x)
  ),
  'two': lambda k, x: k.layers.Rescaling(2.0)(k.layers.Rescaling(1 / 255.0)(x)),
}


def make(k, front, last=None, units=3):
  """Returns a model, and the part of it in front of its convolution."""
  images = k.layers.Input((SIZE, SIZE, 3))
  scaled = front(k, images)
  network = k.Sequential(
    [k.layers.Input((SIZE, SIZE, 3)), k.layers.Conv2D(4, 3)]
  )
  x = k.layers.GlobalAveragePooling2D()(network(scaled))
  x = k.layers.Dense(units, activation=last)(k.layers.Dropout(0.5)(x))
  return k.Model(images, x), k.Model(images, scaled)


def statement(model, path):
  model.save(path)
  content, found = files.read_content(paths.resolve(path))
  return files.read_statement(paths.resolve(path), content, found), content


@pytest.mark.parametrize('suffix', ['.keras', '.h5'])
@pytest.mark.parametrize('front', FRONTS)
@pytest.mark.parametrize('version', KERAS)
def test_layers_in_front_become_mean_and_deviation(
  version, front, suffix, tmp_path
):
  model, scaling = make(KERAS[version], FRONTS[front])
  said, content = statement(model, tmp_path / f'model{suffix}')
  assert said.image_size == SIZE
  image = np.zeros((1, SIZE, SIZE, 3), np.float32)
  image[:, :1, :2] = PIXELS
  wanted = np.asarray(scaling(image, training=False))[:, :1, :2]
  found = (PIXELS - np.array(said.mean)) / np.array(said.std)
  np.testing.assert_allclose(found, wanted, atol=2e-6)
  assert len(content.arrays) == 4  # Pixel statistics are not weights.


def test_a_model_without_layers_in_front_has_no_statement(tmp_path):
  model, _ = make(keras, lambda k, x: k.layers.RandomFlip()(x), 'softmax')
  said, _ = statement(model, tmp_path / 'model.keras')
  assert (said.mean, said.std, said.activation) == (None, None, 'softmax')


@pytest.mark.parametrize(
  'layer',
  [
    keras.layers.Resizing(SIZE, SIZE, name='odd'),
    keras.layers.CenterCrop(SIZE, SIZE, name='odd'),
    keras.layers.Rescaling(-1.0, 255.0, name='odd'),
    keras.layers.Lambda(lambda x: x[..., ::-1], name='odd'),
  ],
  ids=lambda layer: type(layer).__name__,
)
def test_a_layer_that_cannot_be_recorded_is_reported(layer, tmp_path):
  model, _ = make(keras, lambda k, x: layer(x))
  with pytest.raises(UserError, match='odd .* in front of the network'):
    statement(model, tmp_path / 'model.keras')


@pytest.mark.parametrize('version', KERAS)
@pytest.mark.parametrize('last', ['softmax', 'sigmoid', 'linear'])
def test_the_last_activation_is_read(version, last, tmp_path):
  k = KERAS[version]
  model, _ = make(k, lambda k, x: x, last)
  wanted = None if last == 'linear' else last
  assert statement(model, tmp_path / 'a.h5')[0].activation == wanted
  outer = k.Sequential([*make(k, lambda k, x: x)[0].layers])
  outer.add(k.layers.Activation(last))
  assert statement(outer, tmp_path / 'b.keras')[0].activation == wanted


def test_an_activation_that_cannot_be_recorded_is_reported(tmp_path):
  model, _ = make(keras, lambda k, x: x, 'relu')
  with pytest.raises(UserError, match='ends in relu'):
    statement(model, tmp_path / 'model.keras')


def test_images_that_are_not_square_are_refused(tmp_path):
  model = keras.Sequential(
    [keras.layers.Input((8, 9, 3)), keras.layers.Conv2D(2, 3)]
  )
  with pytest.raises(UserError, match='8 x 9'):
    statement(model, tmp_path / 'model.keras')

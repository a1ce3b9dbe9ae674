"""Keras Applications: the same logits and endpoints with imported weights."""

import jax
import numpy as np
import pytest

from inception.data.tensorflow import tf
from inception.paths import resolve
from inception.pretrained import conversion
from inception.pretrained.formats import files
from tests.parity import formula, peers

# Raised inside Keras.
pytestmark = pytest.mark.filterwarnings('ignore:__array__ implementation')

# The same number as TF-slim's, so that both tests share compiled programs.
CLASSES = 1001

# Our endpoint, and Keras's layer.
ENDPOINTS = {
  'inception_v3': {
    'Conv2d_2b_3x3': 'activation_2',
    'MaxPool_5a_3x3': 'max_pooling2d_1',
    **{
      f'Mixed_{name}': f'mixed{i}'
      for i, name in enumerate(
        ('5b', '5c', '5d', '6a', '6b', '6c', '6d', '6e', '7a', '7b', '7c')
      )
    },
  },
  'inception_resnet_v2': {
    'Mixed_5b': 'mixed_5b',
    'Repeat': 'block35_10_ac',
    'Mixed_6a': 'mixed_6a',
    'Repeat_1': 'block17_20_ac',
    'Mixed_7a': 'mixed_7a',
    'Repeat_2': 'block8_9_ac',
    'Block8': 'custom_scale_layer_39',
    'Conv2d_7b_1x1': 'conv_7b_ac',
  },
}


def make_keras(name):
  """Returns Keras's network with the weights of the formula."""
  keras = tf.keras
  keras.utils.clear_session()
  function = {
    'inception_v3': keras.applications.InceptionV3,
    'inception_resnet_v2': keras.applications.InceptionResNetV2,
  }[name]
  model = function(weights=None, classes=CLASSES, classifier_activation=None)
  for layer in model.layers:
    layer.set_weights(
      [
        formula.tensor(
          f'{layer.name}/{variable.name}',
          variable.shape,
          range(len(variable.shape) - 1),
        )
        for variable in layer.weights
      ]
    )
  return model


def renumbered(arrays):
  """Counts layers from 7, as in a session that already has other layers."""
  moved = {}
  for name, array in arrays.items():
    layer, variable = name.rsplit('/', 1)
    for kind in ('conv2d', 'batch_normalization'):
      number = layer.removeprefix(kind)
      if layer.startswith(kind) and (not number or number[1:].isdecimal()):
        layer = f'{kind}_{int(number[1:] or 0) + 7}'
        break
    moved[f'{layer}/{variable}'] = array
  return moved


def test_all_formats_of_keras_give_the_same_arrays(tmp_path):
  model = make_keras('inception_v3')
  paths = [tmp_path / f'model{s}' for s in ('.weights.h5', '.keras', '.h5')]
  model.save_weights(paths[0])
  for path in paths[1:]:
    model.save(path)
  first, *others = [
    files.read_content(resolve(path))[0].arrays for path in paths
  ]
  for arrays in others:
    assert set(arrays) == set(first)
    for key, array in first.items():
      np.testing.assert_array_equal(array, arrays[key], err_msg=key)


@pytest.mark.parametrize(
  'name',
  [
    'inception_v3',
    pytest.param('inception_resnet_v2', marks=pytest.mark.slow),
  ],
)
def test_logits_and_endpoints_equal_those_of_keras(name, tmp_path):
  keras_model = make_keras(name)
  images = formula.images(299)
  layers = [keras_model.get_layer(n).output for n in ENDPOINTS[name].values()]
  both = tf.keras.Model(keras_model.input, [keras_model.output, *layers])
  wanted, *wanted_endpoints = (np.asarray(x) for x in both(images))

  path = tmp_path / 'model.weights.h5'
  keras_model.save_weights(path)
  arrays = files.read_content(resolve(path))[0].arrays
  weights = conversion.import_arrays(arrays, 'keras')
  assert (weights.architecture, weights.num_classes) == (name, CLASSES)
  again = conversion.import_arrays(renumbered(arrays), 'keras')
  jax.tree.map(
    np.testing.assert_array_equal, weights.variables, again.variables
  )
  outputs = peers.apply(weights, images)
  compared = {'logits': (outputs.logits, wanted)}
  for endpoint, value in zip(ENDPOINTS[name], wanted_endpoints):
    compared[endpoint] = (outputs.endpoints[endpoint], value)
  for what, (ours, theirs) in compared.items():
    difference = np.abs(ours - theirs).max() / np.abs(theirs).max()
    assert difference < 1e-4, (what, difference)

"""Keras 2 and 3 files: networks with any kind of head; malformed files."""

import functools
import json

import h5py
import keras
import numpy as np
import pytest

from inception.data.tensorflow import tf
from inception.errors import UserError
from inception.paths import resolve
from inception.pretrained import conversion
from inception.pretrained.formats import files

tf_keras = pytest.importorskip('tf_keras')

# Raised inside Keras.
pytestmark = [
  pytest.mark.filterwarnings('ignore:__array__ implementation'),
  pytest.mark.filterwarnings('ignore:You are saving your model as an HDF5'),
  pytest.mark.filterwarnings('ignore::DeprecationWarning'),
]

FORMS = {
  'without top': lambda k, base, pooled: base,
  'one layer': lambda k, base, pooled: k.Model(
    base.input, k.layers.Dense(5, 'softmax')(pooled)
  ),
  'nested': lambda k, base, pooled: k.Sequential(
    [base, k.layers.GlobalAveragePooling2D(), k.layers.Dense(5)]
  ),
  'normalized': lambda k, base, pooled: k.Sequential(
    [
      base,
      k.layers.GlobalAveragePooling2D(),
      k.layers.BatchNormalization(),
      k.layers.Dense(5),
    ]
  ),
  'largest': lambda k, base, pooled: k.Sequential(
    [base, k.layers.GlobalMaxPooling2D(), k.layers.Dense(5)]
  ),
  'stack': lambda k, base, pooled: k.Sequential(
    [
      base,
      k.layers.GlobalAveragePooling2D(),
      k.layers.BatchNormalization(),
      k.layers.Dense(8, 'relu'),
      k.layers.Dropout(0.5),
      k.layers.Dense(5),
    ]
  ),
}
# Classes that are found, and tensors that are left over.
FOUND = {
  'without top': (0, 0),
  'one layer': (5, 0),
  'nested': (5, 0),
  'normalized': (0, 6),
  'largest': (0, 2),
  'stack': (0, 8),
}


@pytest.fixture(scope='module')
def models(request):
  """One network, how to make its forms, and the version of Keras."""
  k = {'3': keras, '2': tf_keras}[request.param]
  k.utils.set_random_seed(0)
  k.layers.Conv2D(3, 1)(np.zeros((1, 2, 2, 3), np.float32))  # Shifts numbers.
  base = k.applications.InceptionV3(include_top=False, weights=None)
  pooled = k.layers.GlobalAveragePooling2D()(base.output)

  @functools.cache
  def make(form):
    model = FORMS[form](k, base, pooled)
    if not model.built:  # Keras 2 defers.
      model.build((None, 299, 299, 3))
    return model

  return base, make, request.param


def import_file(path):
  content, found = files.read_content(resolve(path))
  return conversion.import_arrays(content.arrays, found.projects)


def cases():
  """Yields version of Keras, form and format.

  Every form in one format, and every format for one form; others are slow.
  """
  for version in ('3', '2'):
    for form in FORMS:
      for suffix in ('.h5', '.keras', '.weights.h5'):
        quick = form == 'nested' or (version == '3' and suffix == '.keras')
        marks = [] if quick else [pytest.mark.slow]
        yield pytest.param(version, form, suffix, marks=marks)


@pytest.mark.parametrize(
  'models, form, suffix', list(cases()), indirect=['models'], scope='module'
)
def test_every_form_gives_its_backbone(models, form, suffix, tmp_path):
  base, make, version = models
  model = make(form)
  path = tmp_path / f'model{suffix}'
  if suffix == '.weights.h5':
    model.save_weights(path)
    if version == '2':
      with pytest.raises(UserError, match='does not name its layers.*.keras'):
        import_file(path)
      return
  else:
    model.save(path)
  imported = import_file(path)
  assert imported.architecture == 'inception_v3'
  found = FOUND[form]
  if (form, suffix) == ('largest', '.weights.h5'):
    found = (5, 0)  # Weights alone do not show how the grid is pooled.
  assert (imported.num_classes, len(imported.left_out)) == found
  params = imported.variables['params']
  kernels = [layer.kernel for layer in base.layers if hasattr(layer, 'kernel')]
  first = params['Conv2d_1a_3x3']['kernel']
  np.testing.assert_array_equal(first, kernels[0])
  ours = sum(
    float(np.abs(leaf).sum(dtype=np.float64))
    for name, stage in params.items()
    if name != 'Logits'
    for leaf in tf.nest.flatten(stage)
    if leaf.ndim == 4
  )
  theirs = sum(float(np.abs(np.asarray(x, np.float64)).sum()) for x in kernels)
  assert ours == pytest.approx(theirs)
  if imported.num_classes:
    dense = model.layers[-1]
    np.testing.assert_array_equal(
      params['Logits']['Logits']['kernel'], dense.kernel
    )


def cycle(file):
  file.create_group('layers')['a'] = file['/']


def layers_are_an_array(file):
  file['layers'] = np.zeros(3)


def layer_is_an_array(file):
  file.create_group('layers')['a'] = np.zeros(3)


def names_are_a_number(file):
  file.attrs['layer_names'] = 3


def claims_4_tb(file):
  group = file.create_group('layers/a/vars')
  group.attrs['name'] = 'a'
  group.create_dataset('0', (10**6, 10**6), 'f4', chunks=(1000, 1000))


def weight(make):
  def fill(file):
    file.attrs['layer_names'] = ['a']
    group = file.create_group('a')
    group.attrs['weight_names'] = ['k']
    make(group)

  return fill


@pytest.mark.parametrize(
  'fill',
  [
    cycle,
    layers_are_an_array,
    layer_is_an_array,
    names_are_a_number,
    claims_4_tb,
    weight(lambda group: group.create_group('k')),
    weight(lambda group: group.create_dataset('k', data='text')),
  ],
)
def test_a_malformed_file_is_refused_in_one_line(fill, tmp_path):
  path = tmp_path / 'malformed.h5'
  with h5py.File(path, 'w') as file:
    fill(file)
  with pytest.raises(UserError, match='malformed.h5') as error:
    files.read_content(resolve(path))
  assert '\n' not in str(error.value)


@pytest.mark.parametrize(
  'config',
  ['[1]', '{"config": [1]}', '{"config": {"layers": ["x"]}}', '[' * 200_000],
  ids=range(4),
)
def test_a_malformed_config_is_refused_in_one_line(config, tmp_path):
  path = tmp_path / 'malformed.h5'
  with h5py.File(path, 'w') as file:
    file.attrs['layer_names'] = np.array([], 'S1')
    if len(config) < 50_000:
      file.attrs['model_config'] = config
    else:
      file.attrs['model_config'] = json.dumps(1) + config[:50_000]
  with pytest.raises(UserError, match='malformed.h5'):
    files.read_content(resolve(path))

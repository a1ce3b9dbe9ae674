"""Features equal those of torch-fidelity, and weights come from any file."""

import dataclasses
import pickle

from flax import traverse_util
import jax
import numpy as np
import pytest
from skimage import data

from inception import generative, paths
from inception.checkpoints import weights
from inception.data.tensorflow import tf
from inception.errors import UserError
from inception.generative import extractor
from inception.pretrained import conversion, published
from inception.pretrained.formats import files
from inception.pretrained.formats.content import Statement
from inception.pretrained.import_file import make_config
from inception.pretrained.projects import fid
from inception.pretrained.tensors import network_layers
from tests.parity import peers

# Of a photograph of a cat, by torch-fidelity's network in float64 with the
# weights of `formula`: numbers at these positions, the sum, and the L2 norm.
POSITIONS = (0, 1, 2, 511, 1007)
GOLDEN = {
  '64': (
    (0.006494347471743822, 0.09388508647680283, 0.6097083687782288),
    15.850232257291282,
    2.702532582105252,
  ),
  '192': (
    (0.6032770276069641, 0.03782998397946358, 0.3137926757335663),
    68.44426232341357,
    7.712806903736539,
  ),
  '768': (
    (0.351513862609, 0.0261115003377, 0.3496715724468, 0.308794200420),
    283.0891987921532,
    16.228250219219834,
  ),
  'pool3': (
    (0.0, 1.02671992778, 0.04582135006785, 0.757118165493, 0.2568858563899),
    944.4236245745469,
    33.94246092579301,
  ),
  'logits': (
    (0.352438241243, 2.070901393890, -0.273136466741, 1.321620464, -0.31290447),
    12.746843604720198,
    33.38707719951927,
  ),
  'spatial': (
    (0.35932562315132766, 0.02404349252206338, 0.0, 0.30916004849354206, 0.0),
    1282.801639112891,
    45.67058622855774,
  ),
}
SIZES = {'64': 64, '192': 192, '768': 768, 'pool3': 2048, 'spatial': 2023}


@pytest.fixture(scope='module')
def imported():
  return peers.imported('fid_inception_v3', 1008)


def folder_of(imported, path):
  """Writes imported weights as the command does."""
  provenance = {
    'project': imported.project,
    'file': 'fid.pth',
    'sha256': 'abc',
    'preprocessing': 'fid',
  }
  config = make_config(imported, provenance, Statement())
  weights.write(paths.resolve(path), imported.variables, config)
  return path


def test_features_equal_torch_fidelity(imported):
  image = jax.device_put(data.chelsea()[None], jax.devices()[0])
  found = jax.jit(generative.features)(imported.variables, image)
  assert found.keys() == GOLDEN.keys()
  for name, (values, total, norm) in GOLDEN.items():
    features = np.asarray(found[name], np.float64)[0]
    assert len(features) == SIZES.get(name, 1008)
    largest = np.abs(features).max()
    numbers = [features[i] for i in POSITIONS if i < len(features)]
    np.testing.assert_allclose(numbers, values, atol=1e-5 * largest)
    assert np.linalg.norm(features) == pytest.approx(norm, rel=1e-6)
    assert features.sum() == pytest.approx(total, rel=1e-5)


def test_weights_are_loaded_from_a_folder(imported, tmp_path):
  found = generative.load(folder_of(imported, tmp_path / 'fid'), mode='clean')
  assert found.also == ('spatial', 'logits') and found.main == 'pool3'
  assert found.facts['weights_sha256'] == 'abc'
  assert found.facts['weights_are'] == 'not the published weights'
  assert (found.facts['mode'], found.facts['precision']) == ('clean', 'float32')
  jax.tree.map(
    np.testing.assert_array_equal, found.variables, imported.variables
  )


def test_weights_without_a_classifier_have_no_logits(imported, tmp_path):
  variables = dict(imported.variables)
  params = {k: v for k, v in variables['params'].items() if k != 'Logits'}
  headless = dataclasses.replace(
    imported, num_classes=0, variables={**variables, 'params': params}
  )
  found = generative.load(folder_of(headless, tmp_path / 'fid'))
  assert found.also == ('spatial',)
  shapes = jax.eval_shape(
    found.function, found.variables, np.zeros((2, 299, 299, 3), np.float32)
  )
  assert 'logits' not in shapes and shapes['pool3'].shape == (2, 2048)
  with pytest.raises(UserError, match='is cannot be computed: .* no logits'):
    generative.Evaluator(found, metrics=['is'])


def test_weights_of_another_network_are_refused(tmp_path):
  other = peers.imported('slim_inception_v1_slim', 3)
  with pytest.raises(UserError, match='weights of inception_v1_slim; FID is'):
    generative.load(folder_of(other, tmp_path / 'v1'))


def test_the_default_weights_are_a_published_file():
  row = published.lookup(extractor.PUBLISHED)
  assert row.hash == extractor.PUBLISHED_SHA256
  assert row.architecture == extractor.ARCHITECTURE and row.transform == 'fid'


@pytest.fixture(scope='module')
def flat(imported):
  """Variables by path, and the layers that they belong to."""
  arrays = traverse_util.flatten_dict(imported.variables, sep='/')
  return arrays, network_layers('inception_v3_fid', 1008, False)


def assert_same_weights(path, imported):
  content, found = files.read_content(paths.resolve(path))
  ours = conversion.import_arrays(content.arrays, found.projects)
  assert ours.architecture == 'inception_v3_fid' and not ours.left_out
  jax.tree.map(
    np.testing.assert_array_equal, ours.variables, imported.variables
  )


def test_the_graph_of_2015_gives_the_same_weights(flat, imported, tmp_path):
  arrays, layers = flat
  graph = tf.Graph()
  with graph.as_default():
    for tensor in fid._IN_GRAPH(layers):
      tf.constant(arrays[tensor.path], name=tensor.name)
    # Constants that are no weights.
    tf.constant(128.0, name='Sub/y')
    tf.constant([299, 299], name='ResizeBilinear/size')
  path = tmp_path / 'classify_image_graph_def.pb'
  path.write_bytes(graph.as_graph_def().SerializeToString())
  assert_same_weights(path, imported)


def test_the_names_in_the_graph():
  """As TensorFlow named them in 2015."""
  names = list(fid._graph_names())
  assert len(names) == len(set(names)) == 94
  assert names[:6] == [*(f'conv_{i}' if i else 'conv' for i in range(5)),
                       'mixed/conv']  # fmt: skip
  assert names[names.index('mixed_8/tower/conv') - 1] == 'mixed_7/tower_2/conv'
  assert names[-9:] == [
    'mixed_10/conv',
    'mixed_10/tower/conv',
    'mixed_10/tower/mixed/conv',
    'mixed_10/tower/mixed/conv_1',
    'mixed_10/tower_1/conv',
    'mixed_10/tower_1/conv_1',
    'mixed_10/tower_1/mixed/conv',
    'mixed_10/tower_1/mixed/conv_1',
    'mixed_10/tower_2/conv',
  ]


@pytest.mark.parametrize('protocol', [2, 4, 5])
def test_the_pickle_of_jax_fid_gives_the_same_weights(
  flat, imported, tmp_path, protocol
):
  arrays, layers = flat
  tree = traverse_util.unflatten_dict(
    {t.name: arrays[t.path] for t in fid._IN_FLAX(layers)}, sep='.'
  )
  path = tmp_path / 'inception_v3_weights_fid.pickle'
  path.write_bytes(pickle.dumps(tree, protocol))
  assert_same_weights(path, imported)


class _Harmful:
  def __reduce__(self):
    return exec, ('raise SystemExit("executed")',)


def test_a_pickle_of_arrays_runs_nothing(tmp_path):
  path = paths.resolve(tmp_path / 'weights.pickle')
  path.write_bytes(pickle.dumps({'x': np.eye(2), 'y': _Harmful()}))
  content, _ = files.read_content(path)
  assert content.arrays.keys() == {'x'}


@pytest.mark.parametrize('cut', [60, 100, 150])
def test_a_pickle_that_is_cut_off_is_one_line(tmp_path, cut):
  path = paths.resolve(tmp_path / 'weights.pickle')
  path.write_bytes(pickle.dumps({'x': np.eye(2)})[:cut])
  with pytest.raises(UserError, match='cannot read .*weights.pickle'):
    files.read_content(path)

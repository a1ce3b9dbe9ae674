"""Features equal those of torch-fidelity, and weights come from any file."""

import dataclasses
import hashlib
import pickle

from flax import traverse_util
import jax
import numpy as np
from PIL import Image
import pytest
import safetensors.numpy
from skimage import data

from inception import generative, paths
from inception.checkpoints import weights
from inception.data.tensorflow import tf
from inception.errors import UserError
from inception.generative import extractor, modes
from inception.pretrained import conversion, published
from inception.pretrained.formats import files
from inception.pretrained.formats.content import Statement
from inception.pretrained.import_file import make_config
from inception.pretrained.projects import fid
from inception.pretrained.tensors import network_layers
from tests.parity import peers
from tests.pretrained import web

# Of a photograph of a cat, with the weights of `formula`, by torch-fidelity's
# network in float64 and by pytorch-fid's: numbers at these positions, the sum
# and the norm of the features, by mode and name.
POSITIONS = (0, 1, 2, 511, 1007)
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


@pytest.fixture(scope='module')
def network(imported):
  """The features of prepared images, compiled once."""
  found = extractor.of_variables(imported.variables)
  apply = jax.jit(found.function)
  return lambda images: apply(found.variables, images)


@pytest.mark.parametrize('mode', modes.MODES)
def test_features_equal_those_of_the_evaluators(network, mode):
  image = jax.device_put(data.chelsea()[None], jax.devices()[0])
  found = network(jax.jit(modes.prepare, static_argnums=1)(image, mode))
  golden = peers.generative()['photograph']
  for name, expected in golden[mode].items():
    features = np.asarray(found[name], np.float64)[0]
    assert len(features) == SIZES.get(name, 1008)
    largest = np.abs(features).max()
    numbers = [features[i] for i in POSITIONS if i < len(features)]
    np.testing.assert_allclose(numbers, expected['values'], atol=1e-5 * largest)
    assert np.linalg.norm(features) == pytest.approx(expected['norm'], rel=1e-6)
    assert features.sum() == pytest.approx(expected['sum'], rel=1e-5)
  others = [x['pool3']['norm'] for name, x in golden.items() if name != mode]
  own = golden[mode]['pool3']['norm']
  assert min(abs(own / other - 1) for other in others) > 1e-4


def test_features_prepare_images_in_the_mode(imported):
  image = jax.device_put(data.chelsea()[None], jax.devices()[0])
  prepared = jax.jit(modes.prepare, static_argnums=1)(image, 'clean')
  seen = []

  def of_prepared(variables, images, precision):
    del variables, precision
    seen.append(images)
    return {}

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(extractor, '_of_prepared', of_prepared)
    generative.features(imported.variables, image, 'clean')
  np.testing.assert_allclose(seen[0], prepared, atol=1e-5)
  found = jax.eval_shape(generative.features, imported.variables, image)
  assert {n: x.shape for n, x in found.items()} == {
    **{name: (1, size) for name, size in SIZES.items()},
    'logits': (1, 1008),
  }


def test_pictures_of_any_size_are_prepared_alike(tmp_path):
  """One at a time, padded, where sizes differ; in batches where they do not."""
  state = np.random.RandomState(0)
  sizes = [(20, 30), (20, 30), (33, 17), (20, 30), (64, 40), (7, 9), (20, 30)]
  pictures = [state.randint(0, 256, (*s, 3)).astype(np.uint8) for s in sizes]
  for i, pixels in enumerate(pictures):
    Image.fromarray(pixels).save(tmp_path / f'{i}.png')
  means = extractor.Extractor(
    'means',
    lambda _, x: {'means': x[:, ::50, ::50].reshape(len(x), -1)},
    main='means',
    mode='tf1',
  )
  found = generative.read(tmp_path, means, ['features'], batch_size=4)
  prepared = [modes.prepare(x[None]) for x in pictures]
  expected = [x[0, ::50, ::50].reshape(-1) for x in prepared]
  np.testing.assert_allclose(found.features, expected, atol=1e-5)


def test_weights_are_loaded_from_a_folder(imported, tmp_path):
  found = generative.load(folder_of(imported, tmp_path / 'fid'), mode='clean')
  assert found.others == ('spatial', 'logits') and found.main == 'pool3'
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
  assert found.others == ('spatial',)
  # FID needs no classifier, so these are the same weights.
  whole = extractor.of_variables(imported.variables)
  assert found.facts['variables_sha256'] == whole.facts['variables_sha256']
  shapes = jax.eval_shape(
    found.function, found.variables, np.zeros((2, 299, 299, 3), np.float32)
  )
  assert 'logits' not in shapes and shapes['pool3'].shape == (2, 2048)
  with pytest.raises(UserError, match='is cannot be computed: .* no logits'):
    generative.Evaluator(found, metrics=['is'])


def test_the_default_weights_are_fetched_by_name(
  imported, tmp_path, monkeypatch
):
  """From a server on this machine, under the published name."""
  monkeypatch.setenv('INCEPTION_HOME', str(tmp_path / 'cache'))
  content = safetensors.numpy.save(
    peers.formula_arrays('fid_inception_v3', 1008)
  )
  sha256 = hashlib.sha256(content).hexdigest()
  row = published.lookup(extractor.PUBLISHED)
  with web.serve() as server:
    server.pages['/fid.pth'] = web.Page(content)
    urls = (f'{server.url}/fid.pth',)
    row = dataclasses.replace(row, urls=urls, hash=sha256)
    monkeypatch.setitem(published.rows(), extractor.PUBLISHED, row)
    monkeypatch.setattr(extractor, 'PUBLISHED_SHA256', sha256)
    found = generative.load()
  assert found.facts['weights_are'] == '2015-12-05'
  assert found.facts['weights_sha256'] == sha256
  jax.tree.map(
    np.testing.assert_array_equal, found.variables, imported.variables
  )


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

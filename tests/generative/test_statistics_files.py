"""Files of statistics, ours and those of other evaluators."""

import pickle

import numpy as np
import pytest

from inception import generative, paths
from inception.errors import UserError
from inception.generative import statistics_files
from inception.generative.sample import Sample
from tests.generative import recipe

FEATURES = recipe.features('files', 30, 6)


def statistics():
  gaussian = generative.of_features(FEATURES)
  return gaussian.mean, gaussian.covariance


@pytest.mark.parametrize(
  'keys',
  [
    {'mu': 0, 'sigma': 1},
    {'ref_mu': 0, 'ref_sigma': 1},
    {'pool_3': FEATURES, 'logits': FEATURES},
    {'feats': FEATURES},
    {'reps': FEATURES},
  ],
)
def test_files_of_others_are_read(tmp_path, keys):
  path = paths.resolve(tmp_path / 'file.npz')
  arrays = {
    name: statistics()[value] if isinstance(value, int) else value
    for name, value in keys.items()
  }
  np.savez(path, **arrays)
  assert statistics_files.is_statistics(path)
  found = generative.read_statistics(path).gaussian
  np.testing.assert_allclose(found.mean, statistics()[0], rtol=1e-12)
  np.testing.assert_allclose(found.covariance, statistics()[1], rtol=1e-12)


@pytest.mark.parametrize('protocol', [2, 4, 5])
def test_a_pickle_of_edm2_is_read(tmp_path, protocol):
  path = paths.resolve(tmp_path / 'img512.pkl')
  mu, sigma = statistics()
  content = {
    'num_images': 30,
    'fid': {'mu': mu, 'sigma': sigma},
    'fd_dinov2': {'mu': mu[:2], 'sigma': np.eye(2)},
  }
  path.write_bytes(pickle.dumps(content, protocol))
  found = generative.read_statistics(path)
  np.testing.assert_array_equal(found.gaussian.mean, mu)
  np.testing.assert_array_equal(found.gaussian.covariance, sigma)
  assert found.count == 30


class _Harmful:
  def __reduce__(self):
    return exec, ('raise SystemExit("executed")',)


def test_a_pickle_runs_nothing(tmp_path):
  path = paths.resolve(tmp_path / 'harmful.pkl')
  path.write_bytes(pickle.dumps({'fid': {'mu': _Harmful(), 'x': np.eye(2)}}))
  with pytest.raises(
    UserError, match='it holds x; statistics are mu and sigma'
  ):
    generative.read_statistics(path)


def test_pytorch_fid_and_edm_read_our_file(tmp_path):
  """Their few lines: np.load, then two keys."""
  mu, sigma = statistics()
  sample = Sample(generative.of_features(FEATURES))
  path = paths.resolve(tmp_path / 'ours.npz')
  generative.write_statistics(path, sample)
  with np.load(path) as file:
    m, s = file['mu'][:], file['sigma'][:]
  np.testing.assert_array_equal(m, mu)
  np.testing.assert_array_equal(s, sigma)


@pytest.mark.parametrize(
  ('more', 'message'),
  [
    ({'count': 20, 'pool_3': FEATURES}, 'of different numbers of images'),
    ({'pool_3': FEATURES, 'logits': FEATURES[:5]}, 'of different numbers'),
    ({'sigma': np.eye(6) * 1j}, 'is complex'),
  ],
)
def test_contradictions_in_a_file_are_refused(tmp_path, more, message):
  mu, sigma = statistics()
  np.savez(tmp_path / 'file.npz', **{'mu': mu, 'sigma': sigma, **more})
  with pytest.raises(UserError, match=message):
    generative.read_statistics(tmp_path / 'file.npz')


def test_a_sample_is_written_as_npz(tmp_path):
  sample = Sample(generative.of_features(FEATURES))
  with pytest.raises(UserError, match='must end in .npz'):
    generative.write_statistics(tmp_path / 'file', sample)
  with pytest.raises(UserError, match='a Gaussian cannot be written'):
    generative.write_statistics(tmp_path / 'file.npz', sample.gaussian)
  with pytest.raises(UserError, match='as sample.gaussian is'):
    generative.frechet_distance(sample, sample)

"""Metrics equal those of torch-fidelity 0.4.0, pytorch-fid 0.3.0 and ADM."""

import numpy as np
import pytest

from inception.errors import UserError
from inception.generative import (
  blocks,
  class_score,
  frechet,
  kernels,
  manifold,
  resampling,
  sliced,
)
from inception.generative.moments import Gaussian
from tests.generative import recipe
from tests.parity import peers

GOLDEN = peers.generative()
# Images of both sides, features, shift of the second side.
FRECHET = {
  'full': (1000, 800, 64, 0.1),
  'same': (1000, 1000, 64, 0.0),
  'singular': (48, 40, 64, 0.1),
  'one_singular': (48, 800, 64, 0.1),
}


def sides(name, count, other, size, shift):
  a = recipe.features(f'{name}/a', count, size)
  return a, recipe.features(f'{name}/b', other, size, shift)


def gaussians(name):
  return [frechet.of_features(x) for x in sides(name, *FRECHET[name])]


@pytest.mark.parametrize('name', FRECHET)
def test_frechet_distance_is_exact_at_any_rank(name):
  a, b = gaussians(name)
  expected = GOLDEN['frechet'][name]['exact']
  assert frechet.frechet_distance(a, b) == pytest.approx(expected, rel=1e-10)
  assert frechet.frechet_distance(b, a) == pytest.approx(expected, rel=1e-10)
  assert abs(frechet.frechet_distance(a, a)) < 1e-10


def test_frechet_distance_equals_pytorch_fid():
  distance = frechet.frechet_distance(*gaussians('full'))
  theirs = GOLDEN['frechet']['full']['pytorch_fid']
  assert distance == pytest.approx(theirs, rel=1e-10)


def test_frechet_distance_of_known_gaussians():
  """For covariances that commute, the deviations are subtracted."""
  a = Gaussian(np.zeros(3), np.diag([1.0, 4.0, 9.0]))
  b = Gaussian(np.array([1.0, 2.0, 2.0]), np.diag([4.0, 4.0, 1.0]))
  assert frechet.frechet_distance(a, b) == pytest.approx(9 + 1 + 0 + 4)


def test_frechet_distance_of_a_wide_spectrum():
  """Of eigenvalues from 5 to 1e-9, as of real features."""
  state = np.random.RandomState(0)
  vectors, _ = np.linalg.qr(state.standard_normal((128, 128)))
  covariance = (vectors * np.geomspace(5, 1e-9, 128)) @ vectors.T
  one = Gaussian(np.zeros(128), (covariance + covariance.T) / 2)
  assert abs(frechet.frechet_distance(one, one)) < 1e-10


def test_frechet_distance_refuses_other_sizes():
  a, b = (Gaussian(np.zeros(n), np.eye(n)) for n in (2, 3))
  with pytest.raises(UserError, match='2 and 3 features'):
    frechet.frechet_distance(a, b)


def test_two_samples_of_one_distribution_have_the_expected_bias():
  """The bias falls as 1/n1 + 1/n2, and two halves of one side predict it."""
  state = np.random.RandomState(0)
  size = 32
  distances = {}
  for n in (128, 256, 512):
    pairs = [state.standard_normal((2, n, size)) for _ in range(8)]
    distances[n] = np.mean(
      [frechet.frechet_distance(*map(frechet.of_features, p)) for p in pairs]
    )
  assert distances[128] / distances[512] == pytest.approx(4, rel=0.1)
  sample = state.standard_normal((1024, size))
  halves = tuple(frechet.of_features(x) for x in (sample[::2], sample[1::2]))
  assert frechet.bias(halves, (256, 256)) == pytest.approx(
    distances[256], rel=0.2
  )
  assert frechet.bias(halves, (256, None)) == pytest.approx(
    distances[256] / 2, rel=0.2
  )


def test_fid_infinity_is_nearer_to_the_truth_than_any_subset():
  state = np.random.RandomState(1)
  real = Gaussian(np.zeros(32), np.eye(32))
  generated = state.standard_normal((2000, 32)) + 0.2  # 1.28 away.
  estimate = frechet.frechet_infinity(generated, real, smallest=200)
  best = frechet.frechet_distance(frechet.of_features(generated), real)
  assert abs(estimate - 1.28) < abs(best - 1.28)
  with pytest.raises(UserError, match='more than 5,000 generated images'):
    frechet.frechet_infinity(generated, real)


def kernel_sides():
  return sides('kid', 1000, 800, 64, 0.1)


def test_kernel_distance_equals_torch_fidelity_in_float64():
  found = kernels.kernel_distance(*kernel_sides(), subsets=100, subset_size=200)
  assert found == pytest.approx(GOLDEN['kernel']['subsets'], rel=1e-10)


def test_kernel_distance_of_all_pairs_on_devices():
  found = kernels.kernel_distance_of_all(*kernel_sides())
  assert found == pytest.approx(GOLDEN['kernel']['all'], abs=1e-7)


def test_kernel_distance_on_devices_is_exact_at_full_size():
  a, b = sides('kid', 300, 200, 2048, 0.02)
  expected = kernels._unbiased(a.astype(float), b.astype(float))
  assert kernels.kernel_distance_of_all(a, b) == pytest.approx(
    expected, abs=1e-7
  )


def test_kernel_distance_of_one_distribution_is_near_zero():
  x = recipe.features('kid/a', 1000, 64)
  mean, deviation = kernels.kernel_distance(
    x[::2], x[1::2], subsets=50, subset_size=100
  )
  assert abs(mean) < 3 * deviation


def test_a_subset_larger_than_a_side_is_refused():
  with pytest.raises(UserError, match='the largest is 800'):
    kernels.kernel_distance(*kernel_sides())


def test_cmmd_is_its_definition():
  """Of Jayasumana et al.: the mean kernel, its diagonal included."""
  a, b = sides('cmmd', 60, 50, 64, 0.1)

  def mean_kernel(x, y):
    squared = ((x[:, None].astype(float) - y) ** 2).sum(-1)
    return np.exp(-squared / 200).mean()

  expected = mean_kernel(a, a) + mean_kernel(b, b) - 2 * mean_kernel(a, b)
  assert kernels.cmmd(a, b) == pytest.approx(1000 * expected, abs=1e-3)


@pytest.mark.parametrize('name', ['shuffled 1000', 'shuffled 1003'])
def test_inception_score_equals_torch_fidelity(name):
  logits = recipe.logits('isc', int(name.split()[1]))
  found = class_score.inception_score(logits)
  expected = GOLDEN['inception_score'][name]
  assert found == pytest.approx(expected, rel=1e-10, abs=1e-12)


@pytest.mark.parametrize(
  ('name', 'size'), [('files 1000', 5000), ('adm 300', 300)]
)
def test_inception_score_in_order_of_files_equals_adm(monkeypatch, name, size):
  monkeypatch.setattr(class_score, 'SPLIT_SIZE', size)
  found = class_score.inception_score(recipe.logits('isc', 1000), 'files')
  expected = np.atleast_1d(GOLDEN['inception_score'][name])[0]
  assert found[0] == pytest.approx(expected, rel=1e-10)


def test_an_unknown_order_is_refused():
  with pytest.raises(UserError, match="is_order='file' is not one of shuffled"):
    class_score.inception_score(np.eye(20), 'file')


def test_inception_score_needs_no_small_constant():
  """A class that no image has a chance of adds nothing, not NaN."""
  logits = np.array([[0.0, -1e4], [0.0, -1e4]])
  with np.errstate(invalid='raise'):
    score, _ = class_score.inception_score(logits, 'files')
  assert score == pytest.approx(1)


def manifold_sides():
  return sides('prc', 600, 500, 64, 0.15)


@pytest.mark.parametrize(
  ('neighbors', 'density', 'coverage'),
  [(3, 0.9083333333333333, 0.824), (5, 0.9696666666666667, 0.942)],
)
def test_manifold_metrics_equal_the_original_rule(
  monkeypatch, neighbors, density, coverage
):
  monkeypatch.setattr(blocks, '_MOST_ROWS', 128)  # Several, the last partial.
  pair = manifold_sides()
  found = manifold.precision_recall(*pair, neighbors)
  # torch-fidelity takes the mean in float32.
  expected = GOLDEN['precision_recall'][str(neighbors)]
  assert found == pytest.approx(expected, abs=1e-7)
  found = manifold.density_coverage(*pair, neighbors)
  assert found == pytest.approx((density, coverage), abs=1e-12)


def test_manifold_metrics_do_not_depend_on_the_position():
  """Features far from zero would lose their distances to rounding."""
  pair = manifold_sides()
  moved = [x.astype(np.float64) + 3000 for x in pair]
  assert manifold.precision_recall(*moved) == manifold.precision_recall(*pair)


def test_a_collapsed_generator_has_high_precision_and_low_recall():
  _, real = manifold_sides()
  generated = real[:1] + 1e-3 * recipe.features('collapsed', 100, 64)
  precision, recall = manifold.precision_recall(generated, real)
  assert precision == 1
  assert recall < 0.1


def test_neighbors_need_enough_images():
  with pytest.raises(UserError, match='at least 4 images on each side, not 3'):
    manifold.precision_recall(np.eye(3), np.eye(3))


def test_monge_distance_of_a_shift():
  """3 |s|^2, up to the random directions; zero without a shift."""
  x = recipe.features('mind', 200, 64)
  shift = np.linspace(0, 0.3, 64)
  expected = 3 * np.sum(shift**2)
  found = sliced.monge_distance(x + shift, x)
  assert found == pytest.approx(expected, rel=0.15)
  assert sliced.monge_distance(x, x[::-1]) == pytest.approx(0, abs=1e-20)


def test_monge_distance_takes_as_many_images_of_both_sides():
  shift = np.linspace(0, 0.3, 64)
  found = sliced.monge_distance(np.tile(shift, (200, 1)), np.zeros((50, 64)))
  assert found == pytest.approx(3 * np.sum(shift**2), rel=0.15)


def test_bootstrap_gives_the_standard_error_of_a_mean():
  x = np.random.RandomState(0).standard_normal((400, 1))
  error = resampling.standard_error(np.mean, x, resamples=300)
  assert error == pytest.approx(1 / 20, rel=0.15)

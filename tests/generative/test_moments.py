"""Moments of a stream equal those of all features at once."""

import functools

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from inception.errors import UserError
from inception.generative import frechet, moments
from tests.generative import recipe

SIZE = 48
REAL = frechet.of_features(recipe.features('moments/real', 500, SIZE, 0.1))


def some_features(count=300, offset=0.0):
  return recipe.features('moments', count, SIZE) + np.float32(offset)


@functools.partial(jax.jit, static_argnums=1)
def in_batches(features, batch_size):
  """Scans over batches, the last one padded with NaN."""
  count = len(features)
  batches = -(-count // batch_size)
  padding = ((0, batches * batch_size - count), (0, 0))
  padded = jnp.pad(features, padding, constant_values=jnp.nan)
  mask = jnp.arange(len(padded)) < count

  def step(state, batch):
    return moments.add(state, *batch), None

  parts = (
    padded.reshape(batches, batch_size, -1),
    mask.reshape(batches, batch_size),
  )
  return lax.scan(step, moments.empty(features.shape[1]), parts)[0]


def assert_equal(gaussian, features):
  expected = frechet.of_features(features)
  assert gaussian.count == len(features)
  np.testing.assert_allclose(gaussian.mean, expected.mean, rtol=1e-6)
  scale = np.abs(expected.covariance).max()
  np.testing.assert_allclose(
    gaussian.covariance, expected.covariance, atol=1e-6 * scale
  )
  ours, theirs = (
    frechet.frechet_distance(x, REAL) for x in (gaussian, expected)
  )
  assert ours == pytest.approx(theirs, rel=1e-6)


@pytest.mark.parametrize('batch_size', [1, 7, 64])
def test_batches_do_not_matter(batch_size):
  features = some_features()
  state = in_batches(features, batch_size)
  assert_equal(moments.to_gaussian(state), features)


def test_rounding_errors_are_kept():
  """10,000 numbers, each smaller than half the last digit of the sum."""

  @jax.jit
  def total(values):
    def step(carry, value):
      total, error = carry
      total, lost = moments._add_exactly(total, value)
      return (total, error + lost), None

    zero = jnp.float32(0)
    return lax.scan(step, (jnp.float32(1), zero), values)[0]

  values = np.full(10_000, 3e-8, np.float32)
  rounded, error = map(float, total(values))
  assert rounded == 1
  assert error == pytest.approx(3e-4, rel=1e-3)


def test_merging_in_any_order():
  features = some_features()
  parts = [features[:9], features[9:200], features[200:]]
  a, b, c = (in_batches(part, 32) for part in parts)
  nothing = moments.empty(SIZE)
  for merged in (
    moments.merge(moments.merge(a, b), c),
    moments.merge(moments.merge(c, nothing), moments.merge(b, a)),
    moments.merge(nothing, moments.merge(a, moments.merge(b, c))),
  ):
    assert_equal(moments.to_gaussian(merged), features)
  gaussians = [frechet.of_features(part) for part in parts]
  assert_equal(moments.combine(gaussians), features)


@pytest.mark.parametrize('mapped', ['pmap', 'shard_map'])
def test_across_devices(mapped):
  """61 images on 4 devices: the last one has 13."""
  features = np.pad(some_features(61), ((0, 3), (0, 0)))
  mask = np.arange(64) < 61

  def of_device(x, mask):
    state = moments.add(moments.empty(SIZE), x, mask)
    return moments.across(state, 'batch')

  if mapped == 'pmap':
    split = features.reshape(4, 16, SIZE), mask.reshape(4, 16)
    state = jax.pmap(of_device, 'batch', out_axes=None)(*split)
  else:
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ('batch',))
    spec = jax.P('batch')
    state = jax.jit(
      jax.shard_map(
        of_device,
        mesh=mesh,
        in_specs=(spec, spec),
        out_specs=jax.P(),
        check_vma=False,
      )
    )(features, mask)
  assert_equal(moments.to_gaussian(state), features[:61])


def test_a_device_without_images_adds_nothing():
  features = some_features(80)
  states = [in_batches(features, 8), moments.empty(SIZE)]
  stacked = jax.tree.map(lambda *x: jnp.stack(x), *states)
  assert_equal(moments.to_gaussian(stacked), features)
  across = jax.pmap(
    lambda s: moments.across(s, 'batch'), 'batch', out_axes=None
  )
  assert_equal(moments.to_gaussian(across(stacked)), features)


def test_a_sample_of_few_images_is_at_no_distance_from_itself():
  """Rounding makes some eigenvalues of its covariance negative."""
  few = moments.to_gaussian(in_batches(some_features(12), 7))
  assert np.linalg.eigvalsh(few.covariance).min() < 0
  assert abs(frechet.frechet_distance(few, few)) < 1e-10


def test_features_far_from_zero():
  features = some_features(300, offset=100.0)
  assert_equal(moments.to_gaussian(in_batches(features, 32)), features)


@pytest.mark.parametrize('count', [0, 1])
def test_a_covariance_needs_two_images(count):
  state = moments.empty(SIZE)
  if count:
    state = moments.add(state, some_features(count))
  with pytest.raises(UserError, match=f'at least two images, not {count}'):
    moments.to_gaussian(state)


def test_features_that_are_not_finite_are_refused():
  features = some_features(5)
  features[3, 2] = np.nan
  with pytest.raises(UserError, match='features are not finite'):
    moments.to_gaussian(moments.add(moments.empty(SIZE), features))


def test_statistics_without_a_count_cannot_be_merged():
  one = moments.Gaussian(np.zeros(2), np.eye(2))
  with pytest.raises(UserError, match='only if they state their count'):
    moments.combine([one, one])


@pytest.mark.parametrize(
  ('features', 'mask'),
  [
    (np.zeros((4, 1)), None),
    (np.zeros(6), None),
    (np.zeros((4, 6)), np.ones(1, bool)),
  ],
)
def test_shapes_that_would_broadcast_are_refused(features, mask):
  with pytest.raises(UserError, match='are not .batch, 6. and .batch.'):
    moments.add(moments.empty(6), jnp.asarray(features), mask)


def test_few_streamed_images_give_the_distance_of_their_features():
  """Rounding of sums adds no eigenvalues to a singular covariance."""
  x, y = (recipe.features(f'few/{name}', 20, 512) + 3 for name in 'ab')
  streamed = [
    moments.to_gaussian(moments.add(moments.empty(512), jnp.asarray(side)))
    for side in (x, y)
  ]
  exact = frechet.frechet_distance(*map(frechet.of_features, (x, y)))
  found = frechet.frechet_distance(*streamed)
  assert found == pytest.approx(exact, rel=1e-6)


def test_images_that_are_all_alike_have_a_distance():
  same = jnp.full((5, 6), 54.3)
  state = moments.empty(6)
  for _ in range(7):
    state = moments.add(state, same * (1 + 1e-7))
  gaussian = moments.to_gaussian(state)
  assert frechet.frechet_distance(gaussian, gaussian) < 1e-3

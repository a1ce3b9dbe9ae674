"""Pooling and local response norm against plain computations."""

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception.modules import pooling
from inception.spec import vocabulary as v


def images(*shape):
  return jax.random.normal(jax.random.key(1), shape)


@pytest.mark.parametrize(
  'avg_pool',
  [pooling.avg_pool, pooling.plain_avg_pool],
  ids=['here', 'other devices'],
)
def test_average_pooling_excludes_padding_by_default(avg_pool):
  x = jnp.ones((1, 4, 4, 1))
  same = avg_pool(x, v.AvgPool(3))
  np.testing.assert_allclose(same, 1)
  counted = avg_pool(x, v.AvgPool(3, count_include_pad=True))
  np.testing.assert_allclose(counted[0, 0, 0], 4 / 9)
  np.testing.assert_allclose(counted[0, 1, 1], 1)


def test_average_pooling_clips_a_valid_window_to_the_grid():
  x = images(1, 2, 3, 1)
  pooled = pooling.avg_pool(x, v.AvgPool(5, stride=3, padding='VALID'))
  np.testing.assert_allclose(pooled[0, 0, 0, 0], np.mean(x), rtol=1e-5)


def test_pooling_keeps_the_dtype():
  x = jnp.ones((1, 4, 4, 1), jnp.bfloat16)
  assert pooling.avg_pool(x, v.AvgPool(3)).dtype == jnp.bfloat16
  assert pooling.max_pool(x, v.MaxPool(3)).dtype == jnp.bfloat16


def test_max_pooling_never_chooses_the_padding():
  x = -jnp.ones((1, 4, 4, 1))
  np.testing.assert_array_equal(pooling.max_pool(x, v.MaxPool(3)), x)


def test_local_response_norm_as_in_caffe():
  x = np.asarray(10 * images(1, 2, 2, 7))
  norm = v.LocalResponseNorm(size=5, alpha=0.5, beta=0.75)
  wanted = np.empty_like(x)
  for c in range(7):
    near = x[..., max(0, c - 2) : c + 3]
    scale = 1 + 0.5 / 5 * np.sum(near**2, -1)
    wanted[..., c] = x[..., c] / scale**0.75
  np.testing.assert_allclose(
    pooling.local_response_norm(jnp.asarray(x), norm), wanted, rtol=1e-5
  )


@pytest.mark.parametrize('side', [14, 9, 3])
def test_adaptive_pooling_averages_overlapping_bins(side):
  x = np.asarray(images(1, side, side, 2))
  wanted = np.empty((1, 4, 4, 2))
  for i in range(4):
    for j in range(4):
      top, bottom = i * side // 4, -(-(i + 1) * side // 4)
      left, right = j * side // 4, -(-(j + 1) * side // 4)
      wanted[:, i, j] = x[:, top:bottom, left:right].mean((1, 2))
  pooled = pooling.adaptive_avg_pool(jnp.asarray(x), v.AdaptiveAvgPool(4))
  np.testing.assert_allclose(pooled, wanted, atol=1e-5)


@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize(
  'stride, padding', [(1, 'SAME'), (2, 'VALID'), (2, 'SAME')]
)
def test_pooling_on_cpus_matches_other_devices(dtype, stride, padding):
  # Small integers: many ties, and sums that do not depend on the order.
  x = jax.random.randint(jax.random.key(0), (2, 9, 12, 4), -3, 3).astype(dtype)
  pool = v.MaxPool(3, stride, padding)
  ours, ours_back = jax.vjp(lambda x: pooling.max_pool(x, pool), x)
  xla, xla_back = jax.vjp(
    lambda x: nn.max_pool(x, (3, 3), (stride, stride), padding), x
  )
  np.testing.assert_array_equal(ours, xla)
  change = jax.random.randint(jax.random.key(1), xla.shape, -3, 3).astype(dtype)
  np.testing.assert_array_equal(ours_back(change)[0], xla_back(change)[0])

  average = v.AvgPool(3, stride, padding)
  ours, ours_back = jax.vjp(lambda x: pooling.avg_pool(x, average), x)
  xla, xla_back = jax.vjp(
    lambda x: nn.avg_pool(
      x.astype(jnp.float32),
      (3, 3),
      (stride, stride),
      padding,
      count_include_pad=False,
    ).astype(dtype),
    x,
  )
  assert ours.dtype == dtype
  np.testing.assert_allclose(*_float(ours, xla), rtol=1e-6)
  tolerance = 1e-6 if dtype == jnp.float32 else 1e-2
  np.testing.assert_allclose(
    *_float(ours_back(change)[0], xla_back(change)[0]), atol=tolerance
  )


@pytest.mark.parametrize(
  'platform, by_slices', [('tpu', False), ('cuda', True), ('cpu', True)]
)
def test_which_platforms_compute_gradients_by_slices(platform, by_slices):
  pool = v.MaxPool(3, 2)
  gradient = jax.jit(jax.grad(lambda x: pooling.max_pool(x, pool).sum()))
  traced = gradient.trace(jnp.zeros((1, 9, 9, 4)))
  program = traced.lower(lowering_platforms=(platform,)).as_text()
  assert ('select_and_scatter' in program) != by_slices
  assert ('optimization_barrier' in program) == by_slices


@pytest.mark.parametrize('platform', ['tpu', 'cuda'])
def test_only_cpus_pool_by_slices_without_a_gradient(platform):
  pool = jax.jit(lambda x: pooling.max_pool(x, v.MaxPool(3, 2)))
  traced = pool.trace(jnp.zeros((1, 9, 9, 4)))
  program = traced.lower(lowering_platforms=(platform,)).as_text()
  assert 'reduce_window' in program


def _float(*arrays):
  return [np.asarray(array, np.float32) for array in arrays]

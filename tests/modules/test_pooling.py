"""Pooling and response norm against a plain computation of the same."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception.modules import pooling
from inception.spec import vocabulary as v


def images(*shape):
  return jax.random.normal(jax.random.key(1), shape)


def test_average_pooling_does_not_count_the_border_unless_told():
  x = jnp.ones((1, 4, 4, 1))
  same = pooling.avg_pool(x, v.AvgPool(3))
  np.testing.assert_allclose(same, 1)
  counted = pooling.avg_pool(x, v.AvgPool(3, count_include_pad=True))
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

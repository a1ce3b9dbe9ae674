"""Normalization on the devices, and prefetching to them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception.data.device import feed
from inception.errors import UserError


def test_unset_mean_and_std_are_those_of_the_transform(config):
  pixels = jnp.array([[0, 128, 255]], jnp.uint8)
  found = feed.normalize(pixels, config.data)
  np.testing.assert_allclose(found, [[-1, 0.5 / 127.5, 1]], atol=1e-6)
  config.data.eval_transform = 'fid'
  found = feed.normalize(pixels, config.data)
  np.testing.assert_allclose(found, [[-1, 0, 127 / 128]], atol=1e-6)
  config.data.mean, config.data.std = (0.0, 28.0, 55.0), (1.0, 10.0, 100.0)
  found = feed.normalize(pixels, config.data)
  np.testing.assert_allclose(found, [[0, 10, 2]], atol=1e-6)


def test_channels_come_in_the_order_of_the_network(config):
  pixels = jnp.array([[0, 128, 255]], jnp.uint8)
  rgb = feed.normalize(pixels, config.data)
  config.data.channel_order = 'BGR'
  bgr = feed.normalize(pixels, config.data)
  np.testing.assert_array_equal(bgr, rgb[:, ::-1])
  config.data.channel_order = 'GRB'
  with pytest.raises(UserError, match="data.channel_order='GRB'.*RGB, BGR"):
    feed.normalize(pixels, config.data)


def test_prefetch_yields_all_batches_in_order_split_over_devices():
  batches = ({'x': np.full((2, 1), i)} for i in range(5))
  fetched = list(feed.prefetch(batches, jax.devices()[:2]))
  assert [int(batch['x'][0, 0]) for batch in fetched] == list(range(5))
  assert all(len(b['x'].addressable_shards) == 2 for b in fetched)

"""A step in several parts equals a step on the whole batch."""

import dataclasses

from flax.training.dynamic_scale import DynamicScale
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception import architectures
from inception.architectures import get_architecture
from inception.errors import UserError
from inception.processes import distributed
from inception.spec import transforms
from inception.training import limits
from inception.training.build import build
from inception.training.recipe.gradients import mean_gradients
from tests.training.recipe.test_step import assert_close, batch, take_steps


@pytest.fixture
def augmented(config):
  """Turns on everything that is drawn per row of the whole batch."""
  config.data.flip = True
  config.data.mixup_alpha = 0.4
  config.model.architecture = 'tiniest'  # Compiles faster.
  return config


def test_without_batch_norm_parts_are_the_whole(augmented, monkeypatch):
  # As with frozen batch norm, images do not affect each other.
  table = transforms.without_batch_norm(get_architecture('tiniest'))
  monkeypatch.setitem(architectures.ARCHITECTURES, 'tiniest', table)
  whole = take_steps(augmented, 2)
  augmented.accumulation_steps = 4
  parts = take_steps(augmented, 2)
  assert_close(whole, parts, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('scale', [None, 2.0**10])
@pytest.mark.parametrize('parts', [1, 4])
def test_gradients_are_means_over_parts_and_devices(scale, parts):
  numbers = np.arange(32, dtype=np.float32).reshape(2, 16)

  def gradients(params, examples):
    found = mean_gradients(
      lambda params, x: (jnp.mean((params - x) ** 2), jnp.mean(x)),
      params,
      examples,
      parts,
      None if scale is None else DynamicScale(scale=jnp.float32(scale)),
    )
    return found.loss, found.others, found.mean

  run = jax.pmap(gradients, distributed.AXIS, in_axes=(None, 0))
  loss, mean, gradient = run(jnp.float32(3), numbers)
  np.testing.assert_allclose(loss, ((3 - numbers) ** 2).mean(axis=1), rtol=1e-6)
  np.testing.assert_allclose(mean, numbers.mean(axis=1), rtol=1e-6)
  np.testing.assert_allclose(gradient, [2 * (3 - 15.5)] * 2, rtol=1e-6)


def test_parts_are_like_devices_that_do_not_synchronize(augmented):
  augmented.model.batch_norm_sync = False
  devices = take_steps(augmented, 4)
  augmented.accumulation_steps = 4
  parts = take_steps(augmented, 1)
  assert_close(devices, parts, rtol=2e-4, atol=2e-5)


def test_parts_do_not_matter_with_frozen_batch_norm(augmented):
  augmented.freeze_through = 'Conv2d_1a_3x3'
  whole = take_steps(augmented, 1)
  augmented.accumulation_steps = 8
  assert_close(whole, take_steps(augmented, 1), rtol=1e-5, atol=1e-6)


def test_statistics_of_a_part_are_those_of_all_devices(config):
  config.model.architecture, config.model.dropout = 'tiniest', 0.0
  config.model.aux_heads = False  # They have dropout.
  config.data.flip = False
  config.accumulation_steps = 2
  config.model.num_classes = 10
  rows = batch(1)
  # Rows of the first and of the second part of two devices.
  order = np.r_[0:4, 8:12, 4:8, 12:16]
  mixed = {name: x[:, order] for name, x in rows.items()}
  halves = {name: x.reshape(2, 8, *x.shape[2:]) for name, x in rows.items()}
  states = []
  for devices, images in ((1, mixed), (2, halves)):
    training = build(config, jax.devices()[:devices], num_examples=80)
    state = distributed.replicate(training.initial_state(), training.devices)
    states.append(jax.device_get(training.step(state, images)))
  assert_close(*states, rtol=2e-4, atol=2e-5)


def test_an_overflow_of_one_part_skips_the_step(config):
  config.model.architecture, config.precision = 'tiniest', 'float16'
  config.accumulation_steps = 2
  config.model.num_classes = 10
  training = build(config, jax.devices()[:2], num_examples=80)
  state = training.initial_state()
  scale = dataclasses.replace(state.loss_scale, scale=jnp.float32(2.0**60))
  state = dataclasses.replace(state, loss_scale=scale)
  before = jax.device_get(state.params)
  after, _ = jax.device_get(training.step(state, batch(2)))
  assert after.loss_scale.scale == 2.0**59
  jax.tree.map(np.testing.assert_array_equal, before, after.params)


def test_parts_that_do_not_divide_the_batch_are_refused(config):
  config.accumulation_steps = 3
  with pytest.raises(UserError, match='accumulation_steps=3'):
    limits.check_sizes(config, jax.devices()[:2])
  config.accumulation_steps = 32
  with pytest.raises(UserError, match=r'try --config.accumulation_steps=8'):
    limits.check_sizes(config, jax.devices()[:2])

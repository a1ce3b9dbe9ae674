"""The step is the same for any number of devices, in every mode."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception.data.device import feed
from inception.modules.network import Outputs
from inception.processes import distributed
from inception.training import build as builds
from inception.training.recipe import losses
from inception.training.recipe import step as steps


def build(config, devices=1):
  config.model.num_classes = 10
  config.schedule.warmup_epochs = 0.0
  config.num_steps = 10
  return builds.build(config, jax.devices()[:devices], num_examples=80)


def batch(devices, seed=0):
  generator = np.random.default_rng(seed)
  images = generator.integers(0, 256, (16, 16, 16, 3), np.uint8)
  labels = generator.integers(0, 10, 16, np.int32)
  return {
    'image': images.reshape(devices, -1, 16, 16, 3),
    'label': labels.reshape(devices, -1),
  }


def take_steps(config, devices, count=2):
  training = build(config, devices)
  state = training.initial_state()
  # Initial classifiers pass almost no gradient to the trunk.
  for scope in {'Logits', 'AuxLogits_2b'} & state.params.keys():
    state.params[scope]['Logits']['kernel'] *= 300
  state = distributed.replicate(state, training.devices)
  metrics = None
  for i in range(count):
    state, metrics = training.step(state, batch(devices, seed=i))
  return jax.device_get((state, metrics))


def assert_close(a, b, **tolerance):
  jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, **tolerance), a, b)


def test_any_number_of_devices_gives_the_same_step(config):
  config.model.architecture = 'tiniest'  # It has dropout, twice.
  config.data.flip = True
  one = take_steps(config, 1)
  start = take_steps(config, 1, count=0)[0]
  moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), one[0], start)
  assert moved.params['Conv2d_1a_3x3']['kernel'] > 5e-4
  assert_close(one, take_steps(config, 4), rtol=2e-4, atol=2e-5)


def test_statistics_per_device_change_the_step(config):
  config.model.architecture = 'tiniest'
  one = take_steps(config, 1)[0]
  config.model.batch_norm_sync = False
  four = take_steps(config, 4)[0]
  kernels = [s.params['Conv2d_1a_3x3']['kernel'] for s in (one, four)]
  assert np.abs(kernels[0] - kernels[1]).max() > 1e-4


@pytest.mark.parametrize(
  'precision, sync',
  [
    *(('float32', True), ('float32', False)),
    *(('bfloat16', False), ('float16', True)),
  ],
)
def test_all_replicas_are_bit_identical(config, sync, precision):
  config.model.architecture = 'tiniest'
  config.model.batch_norm_sync = sync
  config.precision = precision
  config.data.flip = True
  training = build(config, 4)
  step = jax.pmap(
    lambda state, batch: steps.train_step(training.recipe, 3, state, batch),
    axis_name=distributed.AXIS,
    in_axes=(None, 0),
  )
  replicas = jax.device_get(step(training.initial_state(), batch(4)))
  for leaf in jax.tree.leaves(replicas):
    for replica in range(1, 4):
      np.testing.assert_array_equal(leaf[0], leaf[replica])


@pytest.mark.usefixtures('own_programs')
def test_the_seed_of_a_step_is_that_of_the_config(config):
  config.seed = 7
  assert build(config).step.seed == 7


def test_the_state_is_donated(config):
  training = build(config)
  state = distributed.replicate(training.initial_state(), training.devices)
  kernel = state.params['Conv2d_1a_3x3']['kernel']
  training.step(state, batch(1))
  assert kernel.is_deleted()


def test_float16_skips_a_step_that_overflows(config):
  config.model.architecture, config.precision = 'tiniest', 'float16'
  training = build(config, 2)
  state = training.initial_state()
  scale = dataclasses.replace(state.loss_scale, scale=jnp.float32(2.0**60))
  state = dataclasses.replace(state, loss_scale=scale)
  before = jax.device_get(state)
  after, _ = jax.device_get(training.step(state, batch(2)))
  assert after.step == 1
  assert after.loss_scale.scale == 2.0**59
  for name in ('params', 'batch_stats', 'opt_state', 'ema'):
    jax.tree.map(
      np.testing.assert_array_equal, getattr(before, name), getattr(after, name)
    )


def test_average_moves_as_in_tensorflow_with_num_updates():
  old, new = {'x': jnp.array(1.0)}, {'x': jnp.array(2.0)}
  early = steps.update_ema(old, new, 0.9, jnp.int32(0))
  assert float(early['x']) == pytest.approx(0.1 * 1 + 0.9 * 2)
  late = steps.update_ema(old, new, 0.9, jnp.int32(10_000))
  assert float(late['x']) == pytest.approx(0.9 * 1 + 0.1 * 2)
  assert steps.update_ema(None, new, None, jnp.int32(0)) is None


def test_evaluation_uses_the_average_where_there_is_one(config):
  state = build(config).initial_state()
  assert state.eval_variables() is state.ema
  config.optimizer.ema_decay = None
  state = build(config).initial_state()
  assert state.eval_variables()['params'] is state.params


def test_loss_smooths_labels_and_weighs_auxiliary_heads(config):
  config.loss.label_smoothing, config.loss.aux_weight = 0.2, 0.3
  generator = np.random.default_rng(0)
  main, aux = generator.normal(size=(2, 4, 5)).astype(np.float32)
  labels = np.array([0, 2, 4, 1])

  def wanted(logits):
    logits = logits.astype(np.float64)
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    q = 0.8 * np.eye(5)[labels] + 0.2 / 5
    return -(q * log_p).sum(-1).mean()

  outputs = Outputs(jnp.asarray(main), (jnp.asarray(aux), jnp.asarray(aux)))
  loss = losses.training_loss(outputs, jnp.eye(5)[labels], config.loss)
  assert float(loss) == pytest.approx(
    wanted(main) + 2 * 0.3 * wanted(aux), rel=1e-5
  )


def test_bytes_become_minus_one_to_one_unless_the_config_differs(config):
  pixels = jnp.array([[0, 51, 255]], jnp.uint8)
  normalized = feed.normalize(pixels, config.data)
  np.testing.assert_allclose(normalized, [[-1, -0.6, 1]], atol=1e-6)
  config.data.mean, config.data.std = (0, 51, 5), (1, 2, 10)
  config.data.channel_order = 'BGR'
  normalized = feed.normalize(pixels, config.data)
  np.testing.assert_allclose(normalized, [[25, 0, 0]], atol=1e-6)

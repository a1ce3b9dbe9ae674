"""The step: the same for any number of devices, in every mode."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception.data import device
from inception.modules.network import Outputs, create_model
from inception.training import losses
from inception.training import schedule as schedule_lib
from inception.training import step as step_lib
from inception.training.state import create_state


def build(config):
  config.model.num_classes = 10
  config.schedule.warmup_epochs = 0.0
  duration = schedule_lib.Duration(10, 5.0)
  schedule = schedule_lib.make_schedule(config.schedule, 16, duration)
  model = create_model(config.model, config.precision, step_lib.AXIS)
  return model, schedule


def batch(devices, seed=0):
  generator = np.random.default_rng(seed)
  images = generator.integers(0, 256, (16, 16, 16, 3), np.uint8)
  labels = generator.integers(0, 10, 16, np.int32)
  return {
    'image': images.reshape(devices, -1, 16, 16, 3),
    'label': labels.reshape(devices, -1),
  }


def take_steps(config, devices, steps=2):
  parts = build(config)
  chosen = jax.devices()[:devices]
  state = create_state(config, parts[0])
  # As they are, the classifiers send next to no gradient into the trunk.
  for scope in ('Logits', 'AuxLogits_2b'):
    state.params[scope]['Logits']['kernel'] *= 300
  state = device.replicate(state, chosen)
  step = step_lib.make_train_step(config, *parts, chosen)
  metrics = None
  for i in range(steps):
    state, metrics = step(state, batch(devices, seed=i))
  return jax.device_get((state, metrics))


def assert_close(a, b, **tolerance):
  jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, **tolerance), a, b)


def test_any_number_of_devices_gives_the_same_step(config):
  config.data.flip = True  # Dropout is on in the tiny network, twice.
  config.data.mixup = config.data.cutmix = 0.4
  config.data.color, config.data.erase = 1.0, 0.5
  one = take_steps(config, 1)
  start = take_steps(config, 1, steps=0)[0]
  moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), one[0], start)
  assert moved.params['Conv2d_1a_3x3']['kernel'] > 0.003
  for devices in (2, 4):
    assert_close(one, take_steps(config, devices), rtol=2e-4, atol=2e-5)


def test_statistics_per_device_are_another_network(config):
  config.model.batch_norm_sync = False
  one, four = take_steps(config, 1)[0], take_steps(config, 4)[0]
  kernels = [s.params['Conv2d_1a_3x3']['kernel'] for s in (one, four)]
  assert np.abs(kernels[0] - kernels[1]).max() > 1e-3


@pytest.mark.parametrize('sync', [True, False])
@pytest.mark.parametrize('precision', ['float32', 'bfloat16', 'float16'])
def test_all_replicas_are_equal_to_the_bit(config, sync, precision):
  config.model.batch_norm_sync = sync
  config.precision = precision
  config.data.flip = True
  model, schedule = build(config)
  state = create_state(config, model)
  step = jax.pmap(
    lambda state, batch: step_lib.train_step(
      state, batch, config, model, schedule
    ),
    axis_name=step_lib.AXIS,
    in_axes=(None, 0),
  )
  replicas = jax.device_get(step(state, batch(4)))
  for leaf in jax.tree.leaves(replicas):
    for replica in range(1, 4):
      np.testing.assert_array_equal(leaf[0], leaf[replica])


def test_the_state_is_donated(config):
  model, schedule = build(config)
  devices = jax.devices()[:1]
  state = device.replicate(create_state(config, model), devices)
  step = step_lib.make_train_step(config, model, schedule, devices)
  kernel = state.params['Conv2d_1a_3x3']['kernel']
  step(state, batch(1))
  assert kernel.is_deleted()


def test_float16_skips_a_step_that_overflows(config):
  config.precision = 'float16'
  model, schedule = build(config)
  state = create_state(config, model)
  scale = dataclasses.replace(state.loss_scale, scale=jnp.float32(2.0**60))
  state = dataclasses.replace(state, loss_scale=scale)
  before = jax.device_get(state)
  devices = jax.devices()[:2]
  step = step_lib.make_train_step(config, model, schedule, devices)
  after, _ = jax.device_get(step(state, batch(2)))
  assert after.step == 1
  assert after.loss_scale.scale == 2.0**59
  for name in ('params', 'batch_stats', 'opt_state', 'ema'):
    jax.tree.map(
      np.testing.assert_array_equal, getattr(before, name), getattr(after, name)
    )


def test_average_moves_as_tensorflows_with_num_updates():
  old, new = {'x': jnp.array(1.0)}, {'x': jnp.array(2.0)}
  early = step_lib.update_ema(old, new, 0.9, jnp.int32(0))
  assert float(early['x']) == pytest.approx(0.1 * 1 + 0.9 * 2)
  late = step_lib.update_ema(old, new, 0.9, jnp.int32(10_000))
  assert float(late['x']) == pytest.approx(0.9 * 1 + 0.1 * 2)
  assert step_lib.update_ema(None, new, None, jnp.int32(0)) is None


def test_evaluation_uses_the_average_where_there_is_one(config):
  state, _ = take_steps(config, 1)
  assert state.eval_variables() is state.ema
  config.optimizer.ema_decay = None
  state, _ = take_steps(config, 1)
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


def test_bytes_become_minus_one_to_one_unless_the_weights_expect_else(config):
  pixels = jnp.array([[0, 51, 255]], jnp.uint8)
  normalized = device.normalize(pixels, config.data)
  np.testing.assert_allclose(normalized, [[-1, -0.6, 1]], atol=1e-6)
  config.data.mean, config.data.std = (0, 51, 5), (1, 2, 10)
  config.data.channel_order = 'BGR'
  normalized = device.normalize(pixels, config.data)
  np.testing.assert_allclose(normalized, [[25, 0, 0]], atol=1e-6)

"""Augmentation on the devices against plain NumPy and TensorFlow."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception.data.device import augment, color
from inception.data.tensorflow import tf
from inception.processes.distributed import AXIS


def test_keys_depend_on_seed_and_step():
  key = jax.random.fold_in(jax.random.key(3), 5)
  for steps in (5, jnp.int32(5)):
    found = augment.step_keys(3, steps)
    for ours, wanted in zip(found, jax.random.split(key), strict=True):
      assert ours == wanted
  assert found[0] != augment.step_keys(3, 6)[0]


def test_flip_mirrors_about_half_and_depends_on_the_row_alone():
  images = jax.random.uniform(jax.random.key(0), (200, 2, 3, 1))
  key, rows = jax.random.key(1), jnp.arange(200)
  flipped = augment.flip(key, images, rows)
  mirrored = np.all(flipped == images[:, :, ::-1], axis=(1, 2, 3))
  same = np.all(flipped == images, axis=(1, 2, 3))
  assert np.all(mirrored ^ same)
  assert 70 < mirrored.sum() < 130
  backward = augment.flip(key, images[::-1], rows[::-1])
  np.testing.assert_array_equal(backward[::-1], flipped)


def test_augmentation_depends_on_the_row_alone(config):
  data = config.data
  data.flip, data.color_jitter, data.random_erase_prob = True, 1.0, 0.5
  generator = np.random.default_rng(0)
  images = generator.integers(0, 256, (8, 6, 6, 3), np.uint8)
  targets = np.eye(8, dtype=np.float32)

  @jax.jit
  def run(images, targets, rows):
    key = jax.random.key(5)
    return augment.augment(key, images, targets, rows, data, AXIS)[0]

  whole = run(images, targets, np.arange(8))
  part = run(images[4:], targets[4:], np.arange(4, 8))
  np.testing.assert_allclose(part, whole[4:], atol=1e-3)


def test_color_is_jittered_per_image_in_one_of_four_orders():
  """Every image matches one of slim's orders, with its own amounts."""
  generator = np.random.default_rng(0)
  images = generator.integers(0, 256, (3, 12, 12, 3)).astype(np.float32)
  rows = jnp.arange(5, 8)
  jitter = jax.jit(functools.partial(augment.color_jitter, strength=1.0))
  orders = set()
  for seed in range(12):
    key = jax.random.key(seed)
    found = jitter(key, images, rows)
    assert found.min() >= 0 and found.max() <= 255
    amounts = amounts_of(key, rows)
    matching = [
      order
      for order, names in enumerate(augment._ORDERS)
      if np.allclose(found, plain(images, amounts, names), atol=1e-2)
    ]
    # Where no saturation is clipped, some orders give the same result.
    assert matching
    orders.add(tuple(matching))
  assert len(orders) > 2
  backward = jitter(key, images[::-1], rows[::-1])
  np.testing.assert_allclose(backward[::-1], found, atol=1e-3)
  amounts = amounts_of(key, jnp.arange(500))
  assert 0.98 < np.abs(amounts).max() <= 1 and np.abs(amounts.mean()) < 0.05


def amounts_of(key, rows):
  _, amount_key = jax.random.split(key)

  def draw(row):
    image_key = jax.random.fold_in(amount_key, row)
    return jax.random.uniform(image_key, (4,), minval=-1, maxval=1)

  return np.array(jax.vmap(draw)(rows))


def plain(images, amounts, names):
  results = []
  for image, (brightness, saturation, hue, contrast) in zip(images, amounts):
    x = tf.constant(image / 255)
    for name in names:
      if name == 'brightness':
        x = x + 32 / 255 * brightness
      elif name == 'saturation':
        x = color.adjust_saturation(jnp.array(x), 1 + 0.5 * saturation)
      elif name == 'hue':
        x = tf.image.adjust_hue(np.array(x, np.float32), 0.2 * hue)
      else:
        x = tf.image.adjust_contrast(np.array(x, np.float32), 1 + contrast / 2)
    results.append(np.clip(x, 0, 1) * 255)
  return np.stack(results)


def test_erasing_paints_rectangles_with_the_given_probability():
  images = np.full((400, 20, 30, 3), 10.0, np.float32)
  rows = jnp.arange(400)
  erase = jax.jit(functools.partial(augment.random_erase, probability=0.25))
  found = np.array(erase(jax.random.key(0), images, rows))
  gray = np.all(found == 127.5, axis=-1)
  assert np.all((found == 10) | (found == 127.5))
  erased = gray.any((1, 2))
  assert 70 < erased.sum() < 130
  for mask in gray[erased]:
    ys, xs = np.where(mask.any(1))[0], np.where(mask.any(0))[0]
    # A rectangle without gaps.
    assert mask[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1].all()
  areas = gray[erased].mean((1, 2))
  assert areas.min() < 0.06 and 0.28 < areas.max() < 0.36
  backward = erase(jax.random.key(0), images, rows[::-1])
  np.testing.assert_array_equal(backward[::-1], found)


@pytest.fixture
def mix(config):
  """Mixes six images on some devices; returns images, mixed, targets."""

  def run(devices, **alphas):
    config.data.update(alphas)
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (6, 8, 8, 3), np.uint8)

    def mix_pairs(images, targets, rows):
      return augment.mix_pairs(
        jax.random.key(0), images, targets, rows, config.data, AXIS
      )

    split = [
      x.reshape(devices, -1, *x.shape[1:])
      for x in (images, np.eye(6, dtype=np.float32), np.arange(6))
    ]
    mixed, targets = (
      np.asarray(x).reshape(6, *x.shape[2:])
      for x in jax.pmap(mix_pairs, AXIS)(*split)
    )
    return images.astype(np.float64), mixed, targets

  return run


@pytest.mark.parametrize('devices', [1, 2])
def test_mixup_gives_images_and_targets_the_same_weights(mix, devices):
  images, mixed, targets = mix(devices, mixup_alpha=0.7)
  weights = targets[np.arange(6), np.arange(6)]
  assert len(set(weights.tolist())) == 6
  assert 0 < weights.min() < weights.max() < 1
  for i, weight in enumerate(weights):
    assert targets[i, 5 - i] == pytest.approx(1 - weight)
    wanted = weight * images[i] + (1 - weight) * images[5 - i]
    np.testing.assert_allclose(mixed[i], wanted, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize('devices', [1, 2])
def test_cutmix_pastes_a_rectangle_of_the_partner(mix, devices):
  images, mixed, targets = mix(devices, cutmix_alpha=1.0)
  weights = targets[np.arange(6), np.arange(6)]
  assert len(set(weights.tolist())) > 3
  for i, weight in enumerate(weights):
    assert targets[i, 5 - i] == pytest.approx(1 - weight)
    pasted = np.all(mixed[i] == images[5 - i], axis=-1)
    kept = np.all(mixed[i] == images[i], axis=-1)
    assert np.all(pasted ^ kept)
    assert kept.mean() == pytest.approx(weight)
    ys, xs = pasted.any(1), pasted.any(0)
    np.testing.assert_array_equal(pasted, ys[:, None] & xs)


def test_with_mixup_and_cutmix_each_image_gets_one(mix):
  images, mixed, _ = mix(1, mixup_alpha=0.7, cutmix_alpha=1.0)
  copied = np.isin(mixed, images).mean((1, 2, 3))
  assert copied.max() > 0.99 and copied.min() < 0.9

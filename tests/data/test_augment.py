"""Augmentation on the device against TensorFlow and plain NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception.data import augment
from inception.data.tensorflow import tf


def pictures(count=4, size=12, low=0, high=256):
  generator = np.random.default_rng(0)
  shape = (count, size, size, 3)
  return generator.integers(low, high, shape).astype(np.float32)


def each(value):
  return jnp.array(value, jnp.float32)[:, None, None, None]


def test_flip_mirrors_about_half_and_follows_the_image():
  images = jax.random.uniform(jax.random.key(0), (200, 2, 3, 1))
  key, places = jax.random.key(1), jnp.arange(200)
  flipped = augment.flip(key, images, places)
  mirrored = np.all(flipped == images[:, :, ::-1], axis=(1, 2, 3))
  same = np.all(flipped == images, axis=(1, 2, 3))
  assert np.all(mirrored ^ same)
  assert 70 < mirrored.sum() < 130
  part = augment.flip(key, images[50:60], places[50:60])
  np.testing.assert_array_equal(part, flipped[50:60])


def test_contrast_is_tensorflows():
  images, factors = pictures(), [0.5, 0.9, 1.0, 1.5]
  found = augment.scale_contrast(images, each(factors))
  for image, factor, ours in zip(images, factors, found):
    wanted = tf.image.adjust_contrast(image, factor)
    np.testing.assert_allclose(ours, wanted, atol=1e-3)


@pytest.mark.parametrize('low, high', [(0, 256), (-40, 300)])
def test_saturation_is_tensorflows(low, high):
  # Brightness and contrast before it may leave the range.
  images, factors = pictures(low=low, high=high), [0.5, 0.9, 1.0, 1.5]
  images[0, 0, 0] = images[0, 0, 1] = 0
  images[0, 0, 2] = 77
  found = augment.scale_saturation(images / 255, each(factors))
  for image, factor, ours in zip(images / 255, factors, found):
    wanted = np.array(tf.image.adjust_saturation(image, factor))
    inside = image.min(-1) >= 0  # TensorFlow's HSV has no negative colours.
    np.testing.assert_allclose(ours[inside], wanted[inside], atol=1e-5)
  assert np.all(np.isfinite(found))


@pytest.mark.parametrize('low, high', [(0, 256), (-40, 300)])
def test_hue_is_tensorflows(low, high):
  images, turns = pictures(low=low, high=high), [-0.2, 0.1, 0.0, 0.2]
  images[0, 0, 0] = 77  # Grey has no hue.
  found = augment.turn_hue(images / 255, each(turns))
  for image, turn, ours in zip(images / 255, turns, found):
    wanted = tf.image.adjust_hue(image, turn)
    np.testing.assert_allclose(ours, wanted, atol=1e-5)


def test_colour_is_distorted_image_by_image_in_one_of_four_orders():
  """Every image equals one of slim's orders with amounts of its own."""
  images, places = pictures(count=3), jnp.arange(5, 8)
  orders = set()
  for seed in range(12):
    key = jax.random.key(seed)
    found = augment.distort_color(key, images, places, 1.0)
    assert found.min() >= 0 and found.max() <= 255
    amounts = amounts_of(key, places)
    matching = [
      order
      for order, names in enumerate(augment._ORDERS)
      if np.allclose(found, plain(images, amounts, names), atol=1e-2)
    ]
    # Where no saturation is clipped, some orders compute the same.
    assert matching
    orders.add(tuple(matching))
  assert len(orders) > 2
  half = augment.distort_color(key, images[1:], places[1:], 1.0)
  np.testing.assert_allclose(half, found[1:], atol=1e-3)
  amounts = amounts_of(key, jnp.arange(500))
  assert 0.98 < np.abs(amounts).max() <= 1 and np.abs(amounts.mean()) < 0.05


def amounts_of(key, places):
  _, amount_key = jax.random.split(key)
  return np.array(
    [
      jax.random.uniform(
        jax.random.fold_in(amount_key, place), (4,), minval=-1, maxval=1
      )
      for place in places
    ]
  )


def plain(images, amounts, names):
  results = []
  for image, (brightness, saturation, hue, contrast) in zip(images, amounts):
    x = tf.constant(image / 255)
    for name in names:
      if name == 'brightness':
        x = x + 32 / 255 * brightness
      elif name == 'saturation':
        x = augment.scale_saturation(jnp.array(x), 1 + 0.5 * saturation)
      elif name == 'hue':
        x = tf.image.adjust_hue(np.array(x, np.float32), 0.2 * hue)
      else:
        x = tf.image.adjust_contrast(np.array(x, np.float32), 1 + contrast / 2)
    results.append(np.clip(x, 0, 1) * 255)
  return np.stack(results)


def test_erasing_paints_rectangles_of_the_asked_share():
  images = np.full((400, 20, 30, 3), 10.0, np.float32)
  places = jnp.arange(400)
  found = np.array(augment.erase(jax.random.key(0), images, places, 0.25))
  grey = np.all(found == 127.5, axis=-1)
  assert np.all((found == 10) | (found == 127.5))
  erased = grey.any((1, 2))
  assert 70 < erased.sum() < 130
  for mask in grey[erased]:
    rows, columns = np.where(mask.any(1))[0], np.where(mask.any(0))[0]
    # A rectangle without gaps.
    assert mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
  areas = grey[erased].mean((1, 2))
  assert areas.min() < 0.06 and 0.28 < areas.max() < 0.36
  part = augment.erase(jax.random.key(0), images[50:60], places[50:60], 0.25)
  np.testing.assert_array_equal(part, found[50:60])


@pytest.fixture
def pairs(config):
  """Mixes six images over some devices; returns images, mixed, targets."""

  def mix(devices, **alphas):
    config.data.update(alphas)
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (6, 8, 8, 3), np.uint8)

    def run(images, targets, places):
      return augment.mix_pairs(
        jax.random.key(0), images, targets, places, config.data, 'batch'
      )

    split = [
      x.reshape(devices, -1, *x.shape[1:])
      for x in (images, np.eye(6, dtype=np.float32), np.arange(6))
    ]
    mixed, targets = (
      np.asarray(x).reshape(6, *x.shape[2:])
      for x in jax.pmap(run, 'batch')(*split)
    )
    return images.astype(np.float64), mixed, targets

  return mix


@pytest.mark.parametrize('devices', [1, 2])
def test_mixup_mixes_images_and_targets_alike(pairs, devices):
  images, mixed, targets = pairs(devices, mixup=0.7)
  shares = targets[np.arange(6), np.arange(6)]
  assert len(set(shares.tolist())) == 6 and 0 < shares.min() < shares.max() < 1
  for i, share in enumerate(shares):
    assert targets[i, 5 - i] == pytest.approx(1 - share)
    wanted = share * images[i] + (1 - share) * images[5 - i]
    np.testing.assert_allclose(mixed[i], wanted, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize('devices', [1, 2])
def test_cutmix_pastes_a_rectangle_of_the_partner(pairs, devices):
  images, mixed, targets = pairs(devices, cutmix=1.0)
  shares = targets[np.arange(6), np.arange(6)]
  assert len(set(shares.tolist())) > 3
  for i, share in enumerate(shares):
    assert targets[i, 5 - i] == pytest.approx(1 - share)
    pasted = np.all(mixed[i] == images[5 - i], axis=-1)
    kept = np.all(mixed[i] == images[i], axis=-1)
    assert np.all(pasted ^ kept)
    assert kept.mean() == pytest.approx(share)
    rows, columns = pasted.any(1), pasted.any(0)
    np.testing.assert_array_equal(pasted, rows[:, None] & columns)


def test_with_both_each_image_gets_one(pairs):
  images, mixed, _ = pairs(1, mixup=0.7, cutmix=1.0)
  copied = np.isin(mixed, images).mean((1, 2, 3))
  assert copied.max() > 0.99 and copied.min() < 0.9

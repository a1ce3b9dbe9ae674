"""Color adjustments against TensorFlow's."""

import jax.numpy as jnp
import numpy as np
import pytest

from inception.data.device import color
from inception.data.tensorflow import tf


def pictures(low=0, high=256):
  generator = np.random.default_rng(0)
  return generator.integers(low, high, (4, 12, 12, 3)).astype(np.float32)


def per_image(values):
  return jnp.array(values, jnp.float32)[:, None, None, None]


def test_contrast_matches_tensorflow():
  images, factors = pictures(), [0.5, 0.9, 1.0, 1.5]
  found = color.adjust_contrast(images, per_image(factors))
  for image, factor, ours in zip(images, factors, found):
    wanted = tf.image.adjust_contrast(image, factor)
    np.testing.assert_allclose(ours, wanted, atol=1e-3)


# Changes of brightness and contrast may have left the range of valid values.
@pytest.mark.parametrize('low, high', [(0, 256), (-40, 300)])
def test_saturation_matches_tensorflow(low, high):
  images, factors = pictures(low, high), [0.5, 0.9, 1.0, 1.5]
  images[0, 0, 0] = images[0, 0, 1] = 0
  images[0, 0, 2] = 77
  found = color.adjust_saturation(images / 255, per_image(factors))
  for image, factor, ours in zip(images / 255, factors, found):
    wanted = np.array(tf.image.adjust_saturation(image, factor))
    inside = image.min(-1) >= 0  # TensorFlow's HSV has no negative colors.
    np.testing.assert_allclose(ours[inside], wanted[inside], atol=1e-5)
  assert np.all(np.isfinite(found))


@pytest.mark.parametrize('low, high', [(0, 256), (-40, 300)])
def test_hue_matches_tensorflow(low, high):
  images, deltas = pictures(low, high), [-0.2, 0.1, 0.0, 0.2]
  images[0, 0, 0] = 77  # Gray has no hue.
  found = color.adjust_hue(images / 255, per_image(deltas))
  for image, delta, ours in zip(images / 255, deltas, found):
    wanted = tf.image.adjust_hue(image, delta)
    np.testing.assert_allclose(ours, wanted, atol=1e-5)

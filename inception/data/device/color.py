"""Color adjustments, as TensorFlow computes them, for images of any range.

Images are float32 [batch, height, width, 3]; amounts broadcast to them, such as
[batch, 1, 1, 1].
"""

import jax
import jax.numpy as jnp

Array = jax.Array


def adjust_contrast(images: Array, factor: Array) -> Array:
  """Scales the distance to the mean of each channel of each image."""
  mean = jnp.mean(images, axis=(1, 2), keepdims=True)
  return mean + factor * (images - mean)


def adjust_saturation(images: Array, factor: Array) -> Array:
  """Scales the saturation in HSV, clipped to 1; keeps hue and value.

  A channel is value - saturation * value * k, where k depends on the hue alone.
  """
  value = jnp.max(images, axis=-1, keepdims=True)
  spread = value - jnp.min(images, axis=-1, keepdims=True)
  saturation = jnp.where(value > 0, spread / jnp.where(value > 0, value, 1), 0)
  new = jnp.clip(saturation * factor, 0, 1)
  ratio = jnp.where(
    saturation > 0, new / jnp.where(saturation > 0, saturation, 1), 1
  )
  return value - ratio * (value - images)


def adjust_hue(images: Array, delta: Array) -> Array:
  """Adds `delta` turns of the color circle to the hue in HSV."""
  red, green, blue = jnp.split(images, 3, axis=-1)
  value = jnp.max(images, axis=-1, keepdims=True)
  low = jnp.min(images, axis=-1, keepdims=True)
  spread = value - low
  safe = jnp.where(spread > 0, spread, 1)
  # Compare channels with each other, not with the maximum: XLA may compute a
  # channel twice and round it differently, and then none equals the maximum.
  sextant = jnp.where(
    (red >= green) & (red >= blue),
    (green - blue) / safe,
    jnp.where(green >= blue, 2 + (blue - red) / safe, 4 + (red - green) / safe),
  )
  sextant = jnp.mod(sextant + 6 * delta, 6)
  shape = jnp.concatenate(
    [
      jnp.abs(sextant - 3) - 1,
      2 - jnp.abs(sextant - 2),
      2 - jnp.abs(sextant - 4),
    ],
    axis=-1,
  )
  return low + spread * jnp.clip(shape, 0, 1)

"""Training augmentation on the devices, in float32.

Augmentation depends on the key of the step and on the row of the image in the
global batch, not on the device. Pixels are from 0 to 255.
"""

import functools

import jax
from jax import lax
import jax.numpy as jnp
import ml_collections

from inception.data.device import color

Array = jax.Array

# TF-slim's orders of the four distortions. Each step draws one order for all of
# its images: drawing one per image would mean computing all four.
_ORDERS = (
  ('brightness', 'saturation', 'hue', 'contrast'),
  ('saturation', 'brightness', 'contrast', 'hue'),
  ('contrast', 'hue', 'brightness', 'saturation'),
  ('hue', 'saturation', 'contrast', 'brightness'),
)

_BRIGHTNESS = 32.0  # Of 255.
_CONTRAST = _SATURATION = 0.5
_HUE = 0.2  # Of the color circle.
_GRAY = 127.5


def step_keys(seed: int | Array, step: int | Array) -> tuple[Array, Array]:
  """Returns the random keys of a training step, the same on all devices.

  Args:
    seed: `config.seed`.
    step: Number of steps taken before this one.

  Returns:
    The key of `augment` and the key of dropout.
  """
  key = jax.random.fold_in(jax.random.key(seed), step)
  image_key, dropout_key = jax.random.split(key)
  return image_key, dropout_key


def augment(
  key: Array,
  images: Array,
  targets: Array,
  rows: Array,
  config: ml_collections.ConfigDict,
  axis_name: str,
) -> tuple[Array, Array]:
  """Applies every augmentation that a config enables, in the order of fields.

  Args:
    key: Random key of the step, the same on all devices.
    images: This device's images, uint8 [batch, height, width, 3].
    targets: Probabilities of their classes, float32 [batch, classes].
    rows: Row of each image in the global batch, int32 [batch].
    config: `config.data`.
    axis_name: The pmap axis that the batch is split over.

  Returns:
    Images of the same shape, uint8 or float32 from 0 to 255, and targets.
  """
  flip_key, color_key, erase_key, pair_key = jax.random.split(key, 4)
  if config.flip:
    images = flip(flip_key, images, rows)
  if config.color_jitter:
    images = color_jitter(color_key, images, rows, config.color_jitter)
  if config.random_erase_prob:
    images = random_erase(erase_key, images, rows, config.random_erase_prob)
  if config.mixup_alpha or config.cutmix_alpha:
    images, targets = mix_pairs(
      pair_key, images, targets, rows, config, axis_name
    )
  return images, targets


def flip(key: Array, images: Array, rows: Array) -> Array:
  """Mirrors each image left to right with probability one half.

  Arguments are those of `augment`. Shape and dtype do not change.
  """
  mirror = jax.vmap(jax.random.bernoulli)(_keys(key, rows))
  return jnp.where(mirror[:, None, None, None], images[:, :, ::-1], images)


def color_jitter(
  key: Array, images: Array, rows: Array, strength: float
) -> Array:
  """Distorts brightness, saturation, hue and contrast.

  At strength 1, brightness changes by up to 32 of 255, saturation and contrast
  by factors of 0.5 to 1.5, hue by up to a fifth of the color circle; at lower
  strengths, by proportionally less. The order is one of four, drawn for the
  step. Howard, 2013, and TF-slim's inception_preprocessing.

  The other arguments are those of `augment`. Returns float32 images, clipped to
  0 to 255 at the end.
  """
  order_key, amount_key = jax.random.split(key)
  draw = functools.partial(
    jax.random.uniform, shape=(4,), minval=-strength, maxval=strength
  )
  amounts = jax.vmap(draw)(_keys(amount_key, rows))
  brightness, saturation, hue, contrast = amounts.T[:, :, None, None, None]
  distortions = {
    'brightness': lambda x: x + _BRIGHTNESS * brightness,
    'saturation': lambda x: color.adjust_saturation(
      x, 1 + _SATURATION * saturation
    ),
    'hue': lambda x: color.adjust_hue(x, _HUE * hue),
    'contrast': lambda x: color.adjust_contrast(x, 1 + _CONTRAST * contrast),
  }

  def in_order(names: tuple[str, ...], x: Array) -> Array:
    for name in names:
      x = distortions[name](x)
    return jnp.clip(x, 0, 255)

  branches = [lambda x, names=names: in_order(names, x) for names in _ORDERS]
  order = jax.random.randint(order_key, (), 0, len(branches))
  return lax.switch(order, branches, images.astype(jnp.float32))


def random_erase(
  key: Array, images: Array, rows: Array, probability: float
) -> Array:
  """Paints a random rectangle of some images gray (Zhong et al., 2020).

  Its area is 2 to 33 % of the image, its aspect ratio 0.3 to 3.3, clipped to
  the image. Gray is mid-range: 0 for networks whose input is in [-1, 1].

  `probability` is the chance of a rectangle, per image; the other arguments are
  those of `augment`. Returns float32 images.
  """
  height, width = images.shape[1:3]

  def rectangle(key: Array) -> Array:
    keys = jax.random.split(key, 4)
    area = jax.random.uniform(keys[0], minval=0.02, maxval=0.33)
    bound = jnp.log(3.3)
    aspect = jnp.exp(jax.random.uniform(keys[1], minval=-bound, maxval=bound))
    sides = jnp.sqrt(jnp.stack([area / aspect, area * aspect]))
    box = _box(keys[2], jnp.minimum(sides, 1), height, width)
    return box & jax.random.bernoulli(keys[3], probability)

  inside = jax.vmap(rectangle)(_keys(key, rows))[..., None]
  return jnp.where(inside, _GRAY, images.astype(jnp.float32))


def mix_pairs(
  key: Array,
  images: Array,
  targets: Array,
  rows: Array,
  config: ml_collections.ConfigDict,
  axis_name: str,
) -> tuple[Array, Array]:
  """Mixes each image and its target with another row of the global batch.

  Row i of n is mixed with row n - 1 - i. Mixup (Zhang et al., 2018) averages
  all pixels; cutmix (Yun et al., 2019) pastes a rectangle of the partner. The
  weight of an image comes from Beta(alpha, alpha), one draw per image. If both
  are enabled, each image gets one of them.

  Arguments are those of `augment`. Returns float32 images and targets, mixed
  with the same weights.
  """
  devices = lax.axis_size(axis_name)
  opposite = [(i, devices - 1 - i) for i in range(devices)]
  partners, partner_targets = (
    lax.ppermute(x, axis_name, opposite)[::-1] for x in (images, targets)
  )
  height, width = images.shape[1:3]
  draw = functools.partial(
    _pixel_weights, height=height, width=width, config=config
  )
  weights = jax.vmap(draw)(_keys(key, rows))
  # The mean over pixels, because a box is rounded to whole pixels.
  weight = jnp.mean(weights, axis=(1, 2))[:, None]
  targets = weight * targets + (1 - weight) * partner_targets
  weights = weights[..., None]
  images = weights * images.astype(jnp.float32) + (1 - weights) * partners
  return images, targets


def _pixel_weights(
  key: Array, height: int, width: int, config: ml_collections.ConfigDict
) -> Array:
  """Draws the weight of an image at each pixel, [height, width]."""
  which_key, mixup_key, cutmix_key, box_key = jax.random.split(key, 4)
  choices = []
  if config.mixup_alpha:
    weight = jax.random.beta(mixup_key, config.mixup_alpha, config.mixup_alpha)
    choices.append(jnp.full((height, width), weight))
  if config.cutmix_alpha:
    weight = jax.random.beta(
      cutmix_key, config.cutmix_alpha, config.cutmix_alpha
    )
    side = jnp.sqrt(1 - weight)
    box = _box(box_key, jnp.stack([side, side]), height, width)
    choices.append(1 - box.astype(jnp.float32))
  take_first = jax.random.bernoulli(which_key)
  return jnp.where(take_first, choices[0], choices[-1])


def _box(key: Array, sides: Array, height: int, width: int) -> Array:
  """Draws a rectangle; returns bool [height, width], True inside.

  Its height and width are the fractions `sides` of the image's, which are in
  pixels. Every position where it fits is equally likely.
  """
  image_sides = jnp.array([height, width])
  size = jnp.round(sides * image_sides)
  begin = jnp.floor(jax.random.uniform(key, (2,)) * (image_sides - size + 1))
  ys, xs = jnp.arange(height), jnp.arange(width)
  inside_rows = (ys >= begin[0]) & (ys < begin[0] + size[0])
  inside_columns = (xs >= begin[1]) & (xs < begin[1] + size[1])
  return inside_rows[:, None] & inside_columns


def _keys(key: Array, rows: Array) -> Array:
  return jax.vmap(jax.random.fold_in, (None, 0))(key, rows)

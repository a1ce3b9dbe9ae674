"""Training augmentation on the device: one pass over a batch, in float32.

What happens to an image follows from the key of the step and the image's place
in the global batch, whichever device it is on. Pixels are from 0 to 255.
"""

import jax
from jax import lax
import jax.numpy as jnp
import ml_collections

Array = jax.Array

# TF-slim's orders of the four distortions; a step has one for all its images.
# Doing every distortion at every place for every image would cost four times
# as much.
_ORDERS = (
  ('brightness', 'saturation', 'hue', 'contrast'),
  ('saturation', 'brightness', 'contrast', 'hue'),
  ('contrast', 'hue', 'brightness', 'saturation'),
  ('hue', 'saturation', 'contrast', 'brightness'),
)

_BRIGHTNESS = 32.0  # Of 255.
_CONTRAST = _SATURATION = 0.5
_HUE = 0.2  # Of the colour circle.
_GREY = 127.5


def augment(
  key: Array,
  images: Array,
  targets: Array,
  places: Array,
  config: ml_collections.ConfigDict,
  axis_name: str,
) -> tuple[Array, Array]:
  """Does all that a config asks for, in the order of its fields.

  Args:
    key: of this step, the same on all devices.
    images: uint8 [batch, height, width, 3].
    targets: float32 [batch, classes], probabilities.
    places: int32 [batch], place of each image in the global batch.
    config: `config.data`.
    axis_name: pmap axis that the batch is split over.

  Returns:
    Images of the same shape, uint8 or float32 of 0 to 255, and targets.
  """
  flip_key, color_key, erase_key, pair_key = jax.random.split(key, 4)
  if config.flip:
    images = flip(flip_key, images, places)
  if config.color:
    images = distort_color(color_key, images, places, config.color)
  if config.erase:
    images = erase(erase_key, images, places, config.erase)
  if config.mixup or config.cutmix:
    images, targets = mix_pairs(
      pair_key, images, targets, places, config, axis_name
    )
  return images, targets


def flip(key: Array, images: Array, places: Array) -> Array:
  """Mirrors each image left to right with probability one half.

  Args and result are those of `augment`.
  """
  mirror = jax.vmap(jax.random.bernoulli)(_keys(key, places))
  return jnp.where(mirror[:, None, None, None], images[:, :, ::-1], images)


def distort_color(
  key: Array, images: Array, places: Array, strength: float
) -> Array:
  """Distorts brightness, saturation, hue and contrast, as TF-slim.

  At strength 1 brightness changes by at most 32 of 255, saturation and contrast
  by factors of 0.5 to 1.5, hue by at most a fifth of the circle; less in
  proportion. The order is one of four, drawn for the step. Howard, 2013, and
  TF-slim's inception_preprocessing.

  Args:
    key: of this step.
    images: [batch, height, width, 3], 0 to 255.
    places: int32 [batch], place of each image in the global batch.
    strength: from 0 to 1.

  Returns:
    float32, clipped to 0 to 255 at the end.
  """
  order_key, amount_key = jax.random.split(key)
  amounts = jax.vmap(
    lambda k: jax.random.uniform(k, (4,), minval=-strength, maxval=strength)
  )(_keys(amount_key, places))
  brightness, saturation, hue, contrast = amounts.T[:, :, None, None, None]
  distortions = {
    'brightness': lambda x: x + _BRIGHTNESS * brightness,
    'saturation': lambda x: scale_saturation(x, 1 + _SATURATION * saturation),
    'hue': lambda x: turn_hue(x, _HUE * hue),
    'contrast': lambda x: scale_contrast(x, 1 + _CONTRAST * contrast),
  }

  def in_order(names: tuple[str, ...], x: Array) -> Array:
    for name in names:
      x = distortions[name](x)
    return jnp.clip(x, 0, 255)

  branches = [lambda x, names=names: in_order(names, x) for names in _ORDERS]
  order = jax.random.randint(order_key, (), 0, len(branches))
  return lax.switch(order, branches, images.astype(jnp.float32))


def scale_contrast(images: Array, factor: Array) -> Array:
  """Scales the distance to the mean of each channel of each image."""
  mean = jnp.mean(images, axis=(1, 2), keepdims=True)
  return mean + factor * (images - mean)


def scale_saturation(images: Array, factor: Array) -> Array:
  """Scales the saturation of HSV, clipped to 1; hue and value stay.

  A channel c is value - saturation * value * k, with k from the hue alone.
  """
  value = jnp.max(images, axis=-1, keepdims=True)
  spread = value - jnp.min(images, axis=-1, keepdims=True)
  saturation = jnp.where(value > 0, spread / jnp.where(value > 0, value, 1), 0)
  new = jnp.clip(saturation * factor, 0, 1)
  ratio = jnp.where(
    saturation > 0, new / jnp.where(saturation > 0, saturation, 1), 1
  )
  return value - ratio * (value - images)


def turn_hue(images: Array, turn: Array) -> Array:
  """Adds to the hue of HSV, in turns of the circle; the rest stays."""
  red, green, blue = jnp.split(images, 3, axis=-1)
  value = jnp.max(images, axis=-1, keepdims=True)
  low = jnp.min(images, axis=-1, keepdims=True)
  spread = value - low
  safe = jnp.where(spread > 0, spread, 1)
  # By order, not by equality with the maximum: XLA may compute a channel twice
  # and round it differently, and then no channel would equal it.
  sextant = jnp.where(
    (red >= green) & (red >= blue),
    (green - blue) / safe,
    jnp.where(green >= blue, 2 + (blue - red) / safe, 4 + (red - green) / safe),
  )
  sextant = jnp.mod(sextant + 6 * turn, 6)
  shape = jnp.concatenate(
    [
      jnp.abs(sextant - 3) - 1,
      2 - jnp.abs(sextant - 2),
      2 - jnp.abs(sextant - 4),
    ],
    axis=-1,
  )
  return low + spread * jnp.clip(shape, 0, 1)


def erase(
  key: Array, images: Array, places: Array, probability: float
) -> Array:
  """Paints a random rectangle of some images grey (Zhong et al., 2020).

  Its area is 2 to 33 % of the image, its aspect 0.3 to 3.3, both as far as it
  fits; grey is the middle of the range, 0 for networks that see [-1, 1].

  Args:
    key: of this step.
    images: [batch, height, width, 3], 0 to 255.
    places: int32 [batch], place of each image in the global batch.
    probability: that an image gets one.

  Returns:
    float32 images of the same shape.
  """
  height, width = images.shape[1:3]

  def rectangle(key: Array) -> Array:
    keys = jax.random.split(key, 4)
    area = jax.random.uniform(keys[0], minval=0.02, maxval=0.33)
    bound = jnp.log(3.3)
    aspect = jnp.exp(jax.random.uniform(keys[1], minval=-bound, maxval=bound))
    share = jnp.sqrt(jnp.stack([area / aspect, area * aspect]))
    box = _box(keys[2], jnp.minimum(share, 1), height, width)
    return box & jax.random.bernoulli(keys[3], probability)

  inside = jax.vmap(rectangle)(_keys(key, places))[..., None]
  return jnp.where(inside, _GREY, images.astype(jnp.float32))


def mix_pairs(
  key: Array,
  images: Array,
  targets: Array,
  places: Array,
  config: ml_collections.ConfigDict,
  axis_name: str,
) -> tuple[Array, Array]:
  """Mixes each image with another of the global batch, and their targets.

  The partner of the image at place p of n is the one at n - 1 - p. Mixup (Zhang
  et al., 2018) takes a share of each pixel; cutmix (Yun et al., 2019) pastes a
  rectangle of the partner. Shares come from Beta(alpha, alpha), one draw an
  image; where both are asked for, each image gets one of them.

  Args:
    key: of this step.
    images: [batch, height, width, 3], 0 to 255, this device's.
    targets: float32 [batch, classes], probabilities.
    places: int32 [batch], place of each image in the global batch.
    config: `config.data`; `mixup` and `cutmix` are the two alphas.
    axis_name: pmap axis that the batch is split over.

  Returns:
    float32 images and targets, mixed alike.
  """
  height, width = images.shape[1:3]
  devices = lax.axis_size(axis_name)
  opposite = [(i, devices - 1 - i) for i in range(devices)]
  partners, their_targets = (
    lax.ppermute(x, axis_name, opposite)[::-1] for x in (images, targets)
  )

  def draw(key: Array) -> Array:
    """Share of the own image in each pixel, [height, width]."""
    which_key, mixup_key, cutmix_key, box_key = jax.random.split(key, 4)
    shares = []
    if config.mixup:
      share = jax.random.beta(mixup_key, config.mixup, config.mixup)
      shares.append(jnp.full((height, width), share))
    if config.cutmix:
      share = jax.random.beta(cutmix_key, config.cutmix, config.cutmix)
      side = jnp.sqrt(1 - share)
      box = _box(box_key, jnp.stack([side, side]), height, width)
      shares.append(1 - box.astype(jnp.float32))
    take_first = jax.random.bernoulli(which_key)
    return jnp.where(take_first, shares[0], shares[-1])

  own = jax.vmap(draw)(_keys(key, places))
  # Of the pixels that there are: a rectangle has whole ones.
  share = jnp.mean(own, axis=(1, 2))[:, None]
  mixed_targets = share * targets + (1 - share) * their_targets
  own = own[..., None]
  mixed = own * images.astype(jnp.float32) + (1 - own) * partners
  return mixed, mixed_targets


def _box(key: Array, share: Array, height: int, width: int) -> Array:
  """Returns bool [height, width]: inside of a rectangle at a random place.

  Args:
    key: for the place; all places where it fits are as likely.
    share: of height and of width, [2].
    height: of the image, pixels.
    width: of the image, pixels.
  """
  sides = jnp.array([height, width])
  size = jnp.round(share * sides)
  begin = jnp.floor(jax.random.uniform(key, (2,)) * (sides - size + 1))
  rows, columns = jnp.arange(height), jnp.arange(width)
  inside_rows = (rows >= begin[0]) & (rows < begin[0] + size[0])
  inside_columns = (columns >= begin[1]) & (columns < begin[1] + size[1])
  return inside_rows[:, None] & inside_columns


def _keys(key: Array, places: Array) -> Array:
  return jax.vmap(jax.random.fold_in, (None, 0))(key, places)

"""Decodes images in TensorFlow, turned upright and without transparency."""

import dataclasses
import functools
import io
from typing import Any

import ml_collections
import numpy as np
from PIL import Image, ImageOps

from inception.data.pixels import signature
from inception.data.pixels.eval_transforms import eval_transform
from inception.data.pixels.signature import Kind
from inception.data.tensorflow import tf

WHITE = (255, 255, 255)

# By EXIF orientation, from 1: first transpose, then flip up-down, then flip
# left-right.
_TURNS = (
  (False, False, False),
  (False, False, True),
  (False, True, True),
  (False, True, False),
  (True, False, False),
  (True, False, True),
  (True, True, True),
  (True, True, False),
)


@dataclasses.dataclass(frozen=True)
class Encoded:
  """Encoded images.

  Attributes:
    data: The bytes, a string tensor.
    kind: `signature.Kind` of each image, int32.
    orientation: EXIF orientation of each image, int32; 1 if it is not a JPEG,
      or if the config ignores orientation.
  """

  data: Any
  kind: Any
  orientation: Any

  def unstack(self, count: int) -> list['Encoded']:
    """Returns `count` single images."""
    parts = (self.data, self.kind, self.orientation)
    return list(map(Encoded, *(tf.unstack(part, count) for part in parts)))


def background_of(
  config: ml_collections.ConfigDict,
) -> tuple[int, int, int] | None:
  """Returns the color that `config.data` puts under transparent pixels.

  None keeps their stored color.
  """
  default = () if eval_transform(config).as_stored else WHITE
  color = default if config.background is None else config.background
  return tuple(map(round, color)) or None


def is_turned(config: ml_collections.ConfigDict) -> bool:
  """True if `config.data` turns images upright."""
  upright = config.exif_orientation
  return not eval_transform(config).as_stored if upright is None else upright


def inspect(data: Any, config: ml_collections.ConfigDict) -> Encoded:
  """Finds out how to decode images.

  Args:
    data: Encoded images, a string tensor [n].
    config: `config.data`.
  """

  def look(whole: bool, content: Any) -> Any:
    look_at = functools.partial(signature.inspect_all, whole)
    facts = tf.numpy_function(look_at, [content], tf.int32, stateful=False)
    return tf.ensure_shape(facts, (*data.shape, 2))

  facts = look(False, tf.strings.substr(data, 0, signature.HEAD_BYTES))
  facts = tf.cond(
    tf.reduce_any(tf.equal(facts[:, 1], signature.UNKNOWN)),
    lambda: look(True, data),
    lambda: facts,
  )
  kind, orientation = tf.unstack(facts, axis=1)
  if not is_turned(config):
    orientation = tf.ones_like(orientation)
  return Encoded(data, kind, orientation)


def image_shape(
  image: Encoded, config: ml_collections.ConfigDict, jpeg: bool
) -> Any:
  """Returns height, width and channels, int32 [3]; of a JPEG, as stored.

  Args:
    image: A single image.
    config: `config.data`.
    jpeg: The image is known to be a JPEG.
  """
  if jpeg:
    return tf.io.extract_jpeg_shape(image.data)
  return tf.cond(
    tf.equal(image.kind, Kind.JPEG),
    lambda: tf.io.extract_jpeg_shape(image.data),
    lambda: tf.shape(decode_other(image, config)),
  )


def decode(
  image: Encoded, config: ml_collections.ConfigDict, dct_method: str = ''
) -> Any:
  """Returns the pixels of an image, upright: uint8 [height, width, 3].

  Args:
    image: A single image.
    config: `config.data`.
    dct_method: As in `tf.io.decode_jpeg`.
  """
  return tf.cond(
    tf.equal(image.kind, Kind.JPEG),
    lambda: turn(
      tf.io.decode_jpeg(image.data, channels=3, dct_method=dct_method),
      image.orientation,
    ),
    lambda: decode_other(image, config),
  )


def decode_other(image: Encoded, config: ml_collections.ConfigDict) -> Any:
  """Returns the pixels of an image that is not a JPEG; see `decode`."""
  background = background_of(config)
  with_pillow = functools.partial(
    _decode_with_pillow, background, is_turned(config)
  )

  def opaque_png() -> Any:
    return tf.io.decode_png(image.data, channels=3)

  def png_with_alpha() -> Any:
    if background is None:
      return opaque_png()
    return _composite(tf.io.decode_png(image.data, channels=4), background)

  def other() -> Any:
    pixels = tf.numpy_function(
      with_pillow, [image.data], tf.uint8, stateful=False
    )
    return tf.ensure_shape(pixels, (None, None, 3))

  # Callers decode JPEGs themselves; the maximum keeps the index valid.
  return tf.switch_case(
    tf.maximum(image.kind, Kind.PNG) - Kind.PNG,
    [opaque_png, png_with_alpha, other],
  )


def crop(pixels: Any, window: Any) -> Any:
  """Returns the pixels in a window, int32 [4]: top, left, height, width."""
  return tf.image.crop_to_bounding_box(pixels, *tf.unstack(window))


def turn(image: Any, orientation: Any) -> Any:
  """Turns the stored pixels of a JPEG, [height, width, 3], upright."""

  def turned(transpose: bool, *flips: bool) -> Any:
    turned = tf.transpose(image, (1, 0, 2)) if transpose else image
    axes = [axis for axis, flip in enumerate(flips) if flip]
    return tf.reverse(turned, axes) if axes else turned

  return tf.switch_case(
    orientation - 1, [functools.partial(turned, *turns) for turns in _TURNS]
  )


def turn_square(square: np.ndarray, orientation: int) -> np.ndarray:
  """Turns stored pixels, [side, side, 3], upright; returns a view."""
  transpose, down, right = _TURNS[orientation - 1]
  if transpose:
    square = square.transpose(1, 0, 2)
  return square[:: -1 if down else 1, :: -1 if right else 1]


def upright_shapes(shapes: Any, orientations: Any) -> Any:
  """Returns int32 [n, 3] shapes of images after they are turned upright."""
  turned = tf.gather(shapes, (1, 0, 2), axis=1)
  transpose = tf.gather(_TURNS, orientations - 1)[:, :1]
  return tf.where(transpose, turned, shapes)


def stored_windows(windows: Any, shapes: Any, orientations: Any) -> Any:
  """Maps windows in upright images to windows in the stored images.

  Args:
    windows: int32 [n, 4], top, left, height and width in upright images.
    shapes: int32 [n, 3], of the upright images.
    orientations: int32 [n].

  Returns:
    int32 [n, 4], top, left, height and width in the stored images.
  """
  turns = tf.gather(_TURNS, orientations - 1)
  begins, sizes = windows[:, :2], windows[:, 2:]
  flipped = shapes[:, :2] - begins - sizes
  begins = tf.where(turns[:, 1:], flipped, begins)
  swapped = tf.concat([begins[:, ::-1], sizes[:, ::-1]], 1)
  return tf.where(turns[:, :1], swapped, tf.concat([begins, sizes], 1))


def _composite(pixels: Any, background: tuple[int, int, int]) -> Any:
  """Composites RGBA over a color: uint8 [height, width, 4] to [..., 3]."""
  # 255 * 255 + 127 still fits in 16 bits.
  wide = tf.cast(pixels, tf.uint16)
  color, alpha = wide[..., :3], wide[..., 3:]
  below = tf.constant(background, tf.uint16)
  mixed = color * alpha + below * (255 - alpha) + 127
  return tf.cast(mixed // 255, tf.uint8)


def _scale_transparent_gray(image: Image.Image, content: bytes) -> None:
  """Scales the transparent gray to 8 bits; Pillow scales only the pixels."""
  transparent = image.info.get('transparency')
  if image.mode == 'L' and isinstance(transparent, int):
    levels = signature.levels_of_gray(content)
    image.info['transparency'] = transparent * 255 // (levels - 1)


def _decode_with_pillow(
  background: tuple[int, int, int] | None, upright: bool, data: Any
) -> np.ndarray:
  # `data` is bytes in a graph, and an array holding them in eager calls.
  content = np.asarray(data, object).item()
  try:
    with Image.open(io.BytesIO(content)) as file:
      _scale_transparent_gray(file, content)
      image = ImageOps.exif_transpose(file) if upright else file
      if image.mode.startswith('I'):  # 16 bits, which Pillow would clip.
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
      if background is None or not image.has_transparency_data:
        return np.asarray(image.convert('RGB'))
      below = Image.new('RGBA', image.size, background)
      below.alpha_composite(image.convert('RGBA'))
      return np.asarray(below.convert('RGB'))
  # Pillow's decoders raise many kinds of errors; convert all to TensorFlow's.
  except Exception as error:
    raise tf.errors.InvalidArgumentError(None, None, str(error)) from error

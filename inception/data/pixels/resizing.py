"""Resizing of decoded images, in TensorFlow."""

from collections.abc import Sequence
from typing import Any

from inception.data.pixels.eval_transforms import EvalTransform
from inception.data.tensorflow import tf

# If the whole resized image would have more pixels than this many windows, only
# the windows are computed.
_MOST_PIXELS = 16
# Kernel radius, in pixels of the source or the output, whichever are larger.
_SUPPORT = 3


def windows(
  image: Any,
  sides: Any,
  begins: Sequence[Any],
  size: tuple[int, int],
  transform: EvalTransform,
) -> list[Any]:
  """Resizes an image and cuts windows out of it.

  An image of 4 x 1,200 pixels would become one of 342 x 102,600. In that case,
  only the windows are computed; they are off by at most one level.

  Args:
    image: uint8 [height, width, 3].
    sides: Height and width of the resized image, an integer tensor [2].
    begins: Top and left of each window in it, integer tensors [2].
    size: Height and width of the windows in pixels.
    transform: Names the interpolation.

  Returns:
    uint8 [*size, 3] per window.
  """

  # No AutoGraph: no Python control flow depends on tensors.
  @tf.autograph.experimental.do_not_convert
  def whole() -> Any:
    pixels = to_uint8(resize(image, tf.cast(sides, tf.int32), transform))
    return tf.stack(
      [
        tf.image.crop_to_bounding_box(
          pixels, *tf.unstack(tf.cast(begin, tf.int32)), *size
        )
        for begin in begins
      ]
    )

  @tf.autograph.experimental.do_not_convert
  def apart() -> Any:
    return tf.stack(
      [_window(image, sides, begin, size, transform) for begin in begins]
    )

  most = _MOST_PIXELS * size[0] * size[1]
  is_long = tf.reduce_prod(tf.cast(sides, tf.int64)) > most
  return tf.unstack(tf.cond(is_long, apart, whole), len(begins))


def _window(
  image: Any,
  sides: Any,
  begin: Any,
  size: tuple[int, int],
  transform: EvalTransform,
) -> Any:
  """Returns a window of a resized image, without resizing the rest of it."""
  length = tf.cast(tf.shape(image)[:2], tf.float64)
  scale = tf.cast(sides, tf.float64) / length
  begin = tf.cast(begin, tf.float64)
  # The part of the source that the window needs. In float32, positions in a
  # long image would be off.
  margin = _SUPPORT * tf.maximum(tf.ones_like(scale), 1 / scale)
  first = tf.nn.relu(tf.floor(begin / scale - margin))
  end = tf.minimum(length, tf.math.ceil((begin + size) / scale + margin))
  top, left = tf.unstack(tf.cast(first, tf.int32))
  height, width = tf.unstack(tf.cast(end - first, tf.int32))
  part = tf.image.crop_to_bounding_box(image, top, left, height, width)
  translation = first * scale - begin
  is_tf1 = transform.interpolation == 'bilinear_tf1'
  if is_tf1:  # Samples at pixel corners.
    translation += 0.5 - 0.5 * scale
    part = tf.pad(part, [(0, 1), (0, 1), (0, 0)], 'SYMMETRIC')
  pixels = tf.raw_ops.ScaleAndTranslate(
    images=tf.cast(part, tf.float32)[None],
    size=size,
    scale=tf.cast(scale, tf.float32),
    translation=tf.cast(translation, tf.float32),
    kernel_type=(
      'keyscubic' if transform.interpolation == 'bicubic' else 'triangle'
    ),
    antialias=transform.antialias and not is_tf1,
  )[0]
  return to_uint8(pixels)


def resize(image: Any, sides: Any, transform: EvalTransform) -> Any:
  """Resizes [height, width, 3] as a transform specifies; returns float32."""
  match transform.interpolation:
    case 'bilinear' | 'bicubic' as method:
      return tf.image.resize(
        image, sides, method, antialias=transform.antialias
      )
    case 'bilinear_tf1':
      return tf.compat.v1.image.resize_bilinear(
        image[None], sides, align_corners=False, half_pixel_centers=False
      )[0]
  raise ValueError(f'unknown interpolation {transform.interpolation!r}')


def with_short_side(image: Any, short: Any) -> Any:
  """Returns height and width, int64 [2], scaled to a given short side."""
  sides = tf.cast(tf.shape(image)[:2], tf.int64)
  return sides * short // tf.reduce_min(sides)


def to_uint8(image: Any) -> Any:
  """Rounds to whole pixel values from 0 to 255."""
  return tf.cast(tf.clip_by_value(tf.round(image), 0, 255), tf.uint8)

"""Several squares of a picture, whose probabilities evaluation averages.

GoogLeNet paper, section 7: the picture at 4 scales, of each the left, central
and right square (of a tall picture the top, central and bottom one), of each
its 4 corners, its center, and the whole square resized: 72 squares, and with
their mirror images 144 crops. One scale and the central square alone make 12
crops. 10 crops are AlexNet's: corners and center of the picture.
"""

from collections.abc import Callable, Sequence
import dataclasses
from typing import Any

import ml_collections

from inception.data import decode
from inception.data.decode import Encoded
from inception.data.eval_transforms import EvalTransform, eval_transform
from inception.data.resizing import resize, to_uint8
from inception.data.tensorflow import tf

# Short sides of the picture, for a network that sees 224 pixels. Other networks
# have them in proportion.
_SCALES = (256, 288, 320, 352)
_INPUT = 224


def five(image: Encoded, config: ml_collections.ConfigDict) -> Any:
  """Returns corners and center, uint8 [5, side, side, 3].

  The picture is resized so that its center is what the network usually sees.
  """
  transform = eval_transform(config)
  if transform.crop_pct == 1:  # The whole has no corners: 224 of 256 pixels.
    transform = dataclasses.replace(transform, crop_pct=0.875)
  side = config.image_size
  pixels = decode.decode(image, config, transform.dct_method)
  if transform.short_side is None:
    sides = tf.fill((2,), round(side / transform.crop_pct))
  else:
    sides = _with_short_side(pixels, transform.resized_side(side))
  pixels = to_uint8(resize(pixels, sides, transform))
  return tf.stack(_corners_and_center(pixels, side))


def six(image: Encoded, config: ml_collections.ConfigDict) -> Any:
  """Returns the squares of one scale and square, uint8 [6, side, side, 3]."""
  return _of_scales(image, config, _SCALES[:1], (1,))


def seventy_two(image: Encoded, config: ml_collections.ConfigDict) -> Any:
  """Returns the squares of all scales, uint8 [72, side, side, 3]."""
  return _of_scales(image, config, _SCALES, (0, 1, 2))


# By the number of squares: from an image to uint8 [squares, side, side, 3].
SQUARES: dict[int, Callable[[Encoded, ml_collections.ConfigDict], Any]] = {
  5: five,
  6: six,
  72: seventy_two,
}


def _of_scales(
  image: Encoded,
  config: ml_collections.ConfigDict,
  scales: Sequence[int],
  thirds: Sequence[int],
) -> Any:
  """Returns 6 squares for each scale and each of the three places."""
  transform, side = eval_transform(config), config.image_size
  whole = decode.decode(image, config, transform.dct_method)
  squares = []
  for scale in scales:
    short = round(scale * side / _INPUT)
    sides = _with_short_side(whole, short)
    pixels = to_uint8(resize(whole, sides, transform))
    for third in thirds:  # The margin of one of the two sides is zero.
      top, left = tf.unstack((sides - short) * third // 2)
      square = tf.image.crop_to_bounding_box(pixels, top, left, short, short)
      squares += _corners_and_center(square, side)
      squares.append(_resized(square, side, transform))
  return tf.stack(squares)


def _with_short_side(pixels: Any, short: Any) -> Any:
  """Returns height and width of a picture whose short side is given."""
  sides = tf.shape(pixels)[:2]
  return sides * short // tf.reduce_min(sides)


def _resized(square: Any, side: int, transform: EvalTransform) -> Any:
  return to_uint8(resize(square, (side, side), transform))


def _corners_and_center(pixels: Any, side: int) -> list[Any]:
  """Returns 5 squares of `side` pixels."""
  bottom, right = tf.unstack(tf.shape(pixels)[:2] - side)
  places = [(0, 0), (0, right), (bottom, 0), (bottom, right)]
  places.append((bottom // 2, right // 2))
  return [
    tf.image.crop_to_bounding_box(pixels, top, left, side, side)
    for top, left in places
  ]

"""Multi-crop evaluation: squares of an image, whose probabilities are averaged.

GoogLeNet paper, section 7: resize the image to 4 scales; from each, take the
left, central and right square (top, central and bottom if tall); from each of
those, take 4 corners, the center, and the whole square resized. With mirror
images, the 72 squares make 144 crops. One scale and the central square alone
make 12 crops. 10 crops are AlexNet's: the image's corners and center.
"""

from collections.abc import Callable, Sequence
import dataclasses
import functools
from typing import Any

import ml_collections

from inception.data.pixels import decode
from inception.data.pixels.decode import Encoded
from inception.data.pixels.eval_transforms import eval_transform
from inception.data.pixels.resizing import (
  resize,
  to_uint8,
  windows,
  with_short_side,
)
from inception.data.tensorflow import tf

# Short sides of the resized image for a network with 224-pixel input; scaled in
# proportion for other networks.
_SCALES = (256, 288, 320, 352)
_INPUT = 224


def _five(image: Encoded, config: ml_collections.ConfigDict) -> Any:
  """Returns corners and center, uint8 [5, side, side, 3].

  The image is resized so that the center is the usual evaluation crop.
  """
  transform = eval_transform(config)
  # A full crop leaves no margin; take 224 of 256 pixels.
  if transform.crop_pct == 1:
    transform = dataclasses.replace(transform, crop_pct=0.875)
  side = config.image_size
  pixels = decode.decode(image, config, transform.dct_method)
  if transform.short_side is None:
    sides = tf.constant([round(side / transform.crop_pct)] * 2, tf.int64)
  else:
    sides = with_short_side(pixels, transform.resized_side(side))
  begins = _corners_and_center(sides, side)
  return tf.stack(windows(pixels, sides, begins, (side, side), transform))


def _of_scales(
  image: Encoded,
  config: ml_collections.ConfigDict,
  scales: Sequence[int],
  thirds: Sequence[int],
) -> Any:
  """Returns 6 squares for each scale and each third of the margin."""
  transform, side = eval_transform(config), config.image_size
  whole = decode.decode(image, config, transform.dct_method)
  squares = []
  for scale in scales:
    short = round(scale * side / _INPUT)
    sides = with_short_side(whole, short)
    # The margin of one of the two sides is zero.
    begins = [(sides - short) * third // 2 for third in thirds]
    for square in windows(whole, sides, begins, (short, short), transform):
      squares += [
        tf.image.crop_to_bounding_box(square, *tf.unstack(begin), side, side)
        for begin in _corners_and_center(tf.constant([short, short]), side)
      ]
      squares.append(to_uint8(resize(square, (side, side), transform)))
  return tf.stack(squares)


def _corners_and_center(sides: Any, side: int) -> list[Any]:
  """Returns top and left, integers [2], of 5 squares of `side` pixels."""
  end = sides - side
  return [end * factors for factors in ((0, 0), (0, 1), (1, 0), (1, 1))] + [
    end // 2
  ]


# By the number of squares: from an image to uint8 [squares, side, side, 3].
SQUARES: dict[int, Callable[[Encoded, ml_collections.ConfigDict], Any]] = {
  5: _five,
  6: functools.partial(_of_scales, scales=_SCALES[:1], thirds=(1,)),
  72: functools.partial(_of_scales, scales=_SCALES, thirds=(0, 1, 2)),
}

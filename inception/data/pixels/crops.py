"""Random crops of encoded images, resized to the training resolution."""

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import ml_collections
import numpy as np

from inception.data.pixels import decode
from inception.data.pixels.decode import Encoded
from inception.data.pixels.signature import Kind
from inception.data.tensorflow import tf

# JPEG downscale factors.
_RATIOS = (1, 2, 4, 8)

_CROP_ATTEMPTS = 10  # As in TensorFlow's and Flax's ImageNet pipelines.


def random_crops(
  encoded: Encoded,
  seeds: Sequence[Any],
  config: ml_collections.ConfigDict,
  jpeg: bool,
) -> list[Any]:
  """Decodes only a random crop of each image.

  GoogLeNet paper, section 6. If a crop is at least twice the output size, a
  JPEG is decoded at 1/2, 1/4 or 1/8 scale, at a fraction of the cost.

  Args:
    encoded: Images.
    seeds: int64 [2] tensors that determine the crops, one per image.
    config: `config.data`.
    jpeg: Accept only JPEGs; other images raise.

  Returns:
    uint8 [height, width, 3] tensors of different sizes, in stored orientation.
  """
  if jpeg:
    is_jpeg = tf.reduce_all(tf.equal(encoded.kind, Kind.JPEG))
    tf.debugging.Assert(is_jpeg, [encoded.kind])
  images = encoded.unstack(len(seeds))
  stored = tf.stack([decode.image_shape(x, config, jpeg) for x in images])
  shapes = decode.upright_shapes(stored, encoded.orientation)
  begins, sizes = [], []
  for shape, seed in zip(tf.unstack(shapes, len(seeds)), seeds):
    begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
      shape,
      tf.zeros((1, 0, 4)),
      seed,
      min_object_covered=0.0,
      aspect_ratio_range=config.crop_aspect,
      area_range=config.crop_area,
      max_attempts=_CROP_ATTEMPTS,
      use_image_if_no_bounding_boxes=True,
    )
    begins.append(begin)
    sizes.append(size)
  # Each TensorFlow op costs microseconds: stack the numbers, run few ops.
  windows = tf.concat([tf.stack(begins)[:, :2], tf.stack(sizes)[:, :2]], 1)
  windows = decode.stored_windows(windows, shapes, encoded.orientation)
  return [
    _decode_window(image, window, config, jpeg)
    for image, window in zip(images, tf.unstack(windows, len(seeds)))
  ]


def resize_crops(
  side: int, orientations: np.ndarray, *crops: np.ndarray
) -> np.ndarray:
  """Resizes crops bilinearly to upright squares, ignoring aspect ratio.

  On bytes, OpenCV's resize is seven times faster than TensorFlow's, which
  costs as much as decoding. Both use half-pixel centers.

  Args:
    side: Height and width of the squares in pixels.
    orientations: EXIF orientation of each crop, int32 [n].
    *crops: n uint8 [height, width, 3] arrays.

  Returns:
    uint8 [n, side, side, 3].
  """
  cv2.setNumThreads(1)  # The pipeline already makes one call per core.
  squares = np.empty((len(crops), side, side, 3), np.uint8)
  for crop, square, orientation in zip(crops, squares, orientations):
    cv2.resize(crop, (side, side), square, interpolation=cv2.INTER_LINEAR)
    if orientation != 1:
      square[:] = decode.turn_square(square.copy(), orientation)
  return squares


def _decode_window(
  image: Encoded, window: Any, config: ml_collections.ConfigDict, jpeg: bool
) -> Any:
  """Decodes a window; of a JPEG, at reduced scale if `side` pixels remain."""
  side = config.image_size

  def at(ratio: int) -> Callable[[], Any]:
    # The window is in pixels of the scaled-down image.
    return lambda: tf.io.decode_and_crop_jpeg(
      image.data, window // ratio, channels=3, ratio=ratio
    )

  shortest = tf.reduce_min(window[2:])
  large_enough = [
    tf.cast(shortest >= side * ratio, tf.int32) for ratio in _RATIOS[1:]
  ]
  case = tf.add_n(large_enough)
  branches = [at(ratio) for ratio in _RATIOS]
  if not jpeg:
    case = tf.where(tf.equal(image.kind, Kind.JPEG), case, len(_RATIOS))
    branches.append(
      lambda: decode.crop(decode.decode_other(image, config), window)
    )
  return tf.switch_case(case, branches)

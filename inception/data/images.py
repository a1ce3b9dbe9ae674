"""One encoded image to the square that the network sees, in TensorFlow."""

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import ml_collections
import numpy as np

from inception.data.eval_transforms import EvalTransform, eval_transform
from inception.data.tensorflow import tf
from inception.errors import UserError

# JPEG downscale factors.
_RATIOS = (1, 2, 4, 8)

_CROP_ATTEMPTS = 10  # As in TensorFlow's and flax's ImageNet pipelines.


def random_crops(
  encoded: Sequence[Any],
  seeds: Sequence[Any],
  config: ml_collections.ConfigDict,
  jpeg: bool,
) -> list[Any]:
  """Decodes a random crop of each image, and only the crop.

  GoogLeNet paper, section 6. Where a crop is at least twice the output size, a
  JPEG is decoded at 1/2, 1/4 or 1/8 scale, at a fraction of the cost.

  Args:
    encoded: Encoded images, string scalar tensors.
    seeds: int64 [2] tensors that determine the crops.
    config: `config.data`.
    jpeg: Skips format detection; non-JPEGs raise.

  Returns:
    uint8 [height, width, 3] tensors of any size.
  """
  begins, sizes = [], []
  for image, seed in zip(encoded, seeds):
    begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
      tf.io.extract_jpeg_shape(image) if jpeg else _image_shape(image),
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
  return [
    _decode_window(image, window, config.image_size, jpeg)
    for image, window in zip(encoded, tf.unstack(windows))
  ]


def resize_crops(side: int, *crops: np.ndarray) -> np.ndarray:
  """Resizes crops to squares bilinearly, ignoring aspect.

  OpenCV's resize of bytes takes a seventh of the time of TensorFlow's, which
  costs as much as decoding. Pixel centers are at half pixels in both.

  Args:
    side: Height and width of the squares in pixels.
    *crops: uint8 [height, width, 3] arrays.

  Returns:
    uint8 [len(crops), side, side, 3].
  """
  cv2.setNumThreads(1)  # The pipeline already makes one call per core.
  squares = np.empty((len(crops), side, side, 3), np.uint8)
  for crop, square in zip(crops, squares):
    cv2.resize(crop, (side, side), square, interpolation=cv2.INTER_LINEAR)
  return squares


def load_image(path: str, config: ml_collections.ConfigDict) -> np.ndarray:
  """Reads one image file and prepares it as evaluation does.

  Args:
    path: Path of a JPEG, PNG, GIF or BMP file.
    config: `config.data`.

  Returns:
    uint8 [image_size, image_size, 3].

  Raises:
    UserError: The file cannot be read or decoded.
  """
  try:
    return eval_image(tf.io.read_file(str(path)), config).numpy()
  except tf.errors.NotFoundError as error:
    raise UserError(f'no such file: {path}') from error
  except tf.errors.OpError as error:
    reason = str(error).split('\n')[0]
    raise UserError(f'cannot read the image {path}: {reason}') from error


def eval_image(encoded: Any, config: ml_collections.ConfigDict) -> Any:
  """Decodes, crops and resizes an image for evaluation.

  Args:
    encoded: Encoded image, a string scalar tensor.
    config: `config.data`.

  Returns:
    uint8 [image_size, image_size, 3].
  """
  transform = eval_transform(config)
  if transform.short_side is None:
    return _crop_and_resize(encoded, config.image_size, transform)
  return _resize_and_crop(encoded, config.image_size, transform)


def _crop_and_resize(encoded: Any, side: int, transform: EvalTransform) -> Any:
  """Decodes the central fraction of each side and resizes it to the square.

  As TF-slim does; the window is that of tf.image.central_crop.
  """
  sides = _image_shape(encoded)[:2]
  exact = tf.cast(sides, tf.float64)
  begin = tf.cast((exact - exact * transform.crop_pct) / 2, tf.int32)
  window = tf.concat([begin, sides - 2 * begin], 0)
  image = tf.cond(
    tf.io.is_jpeg(encoded),
    lambda: tf.io.decode_and_crop_jpeg(
      encoded, window, channels=3, dct_method=transform.dct_method
    ),
    lambda: _decode_and_crop(encoded, window),
  )
  return _to_uint8(_resize(image, (side, side), transform))


def _resize_and_crop(encoded: Any, side: int, transform: EvalTransform) -> Any:
  """Resizes the short side and takes the central square.

  torchvision's Resize and CenterCrop, which timm uses too: the long side is
  rounded down, and half a pixel of margin to the nearest even number.
  """
  image = _decode(encoded, transform.dct_method)
  sides = tf.shape(image)[:2]
  sides = sides * transform.resized_side(side) // tf.reduce_min(sides)
  image = _to_uint8(_resize(image, sides, transform))
  margin = tf.cast(sides - side, tf.float64) / 2
  begin = tf.cast(tf.round(margin), tf.int32)
  return tf.image.crop_to_bounding_box(image, begin[0], begin[1], side, side)


def _resize(image: Any, sides: Any, transform: EvalTransform) -> Any:
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


def _to_uint8(image: Any) -> Any:
  return tf.cast(tf.clip_by_value(tf.round(image), 0, 255), tf.uint8)


def _image_shape(encoded: Any) -> Any:
  return tf.cond(
    tf.io.is_jpeg(encoded),
    lambda: tf.io.extract_jpeg_shape(encoded),
    lambda: tf.shape(_decode(encoded)),
  )


def _decode(encoded: Any, dct_method: str = '') -> Any:
  return tf.cond(
    tf.io.is_jpeg(encoded),
    lambda: tf.io.decode_jpeg(encoded, channels=3, dct_method=dct_method),
    lambda: tf.io.decode_image(encoded, channels=3, expand_animations=False),
  )


def _decode_window(encoded: Any, window: Any, side: int, jpeg: bool) -> Any:
  """Decodes a window, of a JPEG at reduced scale but at least `side` pixels."""

  def at(ratio: int) -> Callable[[], Any]:
    # At this ratio the window counts pixels of the shrunk image.
    return lambda: tf.io.decode_and_crop_jpeg(
      encoded, window // ratio, channels=3, ratio=ratio
    )

  shortest = tf.reduce_min(window[2:])
  large_enough = [
    tf.cast(shortest >= side * ratio, tf.int32) for ratio in _RATIOS[1:]
  ]
  case = tf.add_n(large_enough)
  branches = [at(ratio) for ratio in _RATIOS]
  if not jpeg:
    case = tf.where(tf.io.is_jpeg(encoded), case, len(_RATIOS))
    branches.append(lambda: _decode_and_crop(encoded, window))
  return tf.switch_case(case, branches)


def _decode_and_crop(encoded: Any, window: Any) -> Any:
  return tf.image.crop_to_bounding_box(_decode(encoded), *tf.unstack(window))

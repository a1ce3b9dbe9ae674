"""One encoded image to the square that the network sees, in TensorFlow."""

from collections.abc import Callable, Sequence
import dataclasses
from typing import Any

import cv2
import ml_collections
import numpy as np

from inception.data.tensorflow import tf
from inception.errors import UserError

# One thread a call: the pipeline makes as many calls at a time as there are
# cores.
cv2.setNumThreads(1)

# At which JPEGs can be decoded.
_RATIOS = (1, 2, 4, 8)

_CROP_ATTEMPTS = 10  # As in TensorFlow's and flax's ImageNet pipelines.


def random_windows(
  encoded: Sequence[Any],
  seeds: Sequence[Any],
  config: ml_collections.ConfigDict,
  jpeg: bool,
) -> list[Any]:
  """Decodes a random window of each image, and no more than the window.

  GoogLeNet paper, section 6. Where the window is at least twice as large as
  what the network sees, a JPEG is decoded at a half, a quarter or an eighth of
  its size, which its transform gives for less than the whole.

  Args:
    encoded: string scalar tensors.
    seeds: int64 [2] tensors; the windows follow from them.
    config: `config.data`.
    jpeg: all are JPEGs, so that nobody needs to ask; others raise.

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
  # Few operations on many numbers: each costs microseconds.
  windows = tf.concat([tf.stack(begins)[:, :2], tf.stack(sizes)[:, :2]], 1)
  return [
    _decode_shrunk(image, window, config.image_size, jpeg)
    for image, window in zip(encoded, tf.unstack(windows))
  ]


def resize_windows(side: int, *windows: np.ndarray) -> np.ndarray:
  """Resizes windows to squares, ignoring aspect, bilinearly.

  OpenCV's resize of bytes takes a seventh of the time of TensorFlow's, which
  costs as much as the decoding. Half-pixel centres, as everybody has them.

  Args:
    side: of the squares, pixels.
    *windows: uint8 [height, width, 3].

  Returns:
    uint8 [len(windows), side, side, 3].
  """
  squares = np.empty((len(windows), side, side, 3), np.uint8)
  for window, square in zip(windows, squares):
    cv2.resize(window, (side, side), square, interpolation=cv2.INTER_LINEAR)
  return squares


def load_image(path: str, config: ml_collections.ConfigDict) -> np.ndarray:
  """Reads one image file as evaluation sees it.

  Args:
    path: of a JPEG, PNG, GIF or BMP.
    config: `config.data`.

  Returns:
    uint8 [image_size, image_size, 3].

  Raises:
    UserError: it cannot be read or decoded.
  """
  try:
    return eval_image(tf.io.read_file(str(path)), config).numpy()
  except tf.errors.NotFoundError as error:
    raise UserError(f'no such file: {path}') from error
  except tf.errors.OpError as error:
    reason = str(error).split('\n')[0]
    raise UserError(f'cannot read the image {path}: {reason}') from error


@dataclasses.dataclass(frozen=True)
class Protocol:
  """How an image becomes the square that evaluation sees.

  Attributes:
    crop: central share of each side, where `short_side` is None.
    short_side: pixels that the short side is resized to before the central
      square is taken, or None.
    resize: 'bilinear', 'bicubic' or 'bilinear_tf1'.
    antialias: shrinking averages.
  """

  crop: float
  short_side: int | None
  resize: str
  antialias: bool

  @property
  def dct_method(self) -> str:
    """How JPEGs are transformed: as Pillow, or as TensorFlow by default.

    The two differ by up to 11 levels of 255.
    """
    return '' if self.resize == 'bilinear_tf1' else 'INTEGER_ACCURATE'


def eval_protocol(config: ml_collections.ConfigDict) -> Protocol:
  """Returns what `config.data` asks for: a preset, or its single fields."""
  exact = config.image_size / config.eval_crop
  match config.eval_preset:
    case 'slim':
      return Protocol(config.eval_crop, None, 'bilinear_tf1', False)
    case 'torchvision':  # 342 for 299, 256 for 224.
      return Protocol(config.eval_crop, round(exact), 'bilinear', True)
    case 'timm':  # It rounds down: 341 for 299.
      return Protocol(config.eval_crop, int(exact), 'bicubic', True)
  return Protocol(
    config.eval_crop,
    config.eval_short_side,
    config.eval_resize,
    config.eval_antialias,
  )


def eval_image(encoded: Any, config: ml_collections.ConfigDict) -> Any:
  """Decodes and crops an image for evaluation.

  Args:
    encoded: string scalar tensor.
    config: `config.data`.

  Returns:
    uint8 [image_size, image_size, 3].
  """
  protocol = eval_protocol(config)
  if protocol.short_side is not None:
    return _square_of_short_side(
      encoded, config.image_size, protocol.short_side, protocol
    )
  return _central_share(encoded, config.image_size, protocol)


def _central_share(encoded: Any, side: int, protocol: Protocol) -> Any:
  """Decodes the central share of each side and resizes it to the square.

  TF-slim's; the window is that of tf.image.central_crop.
  """
  sides = _image_shape(encoded)[:2]
  exact = tf.cast(sides, tf.float64)
  begin = tf.cast((exact - exact * protocol.crop) / 2, tf.int32)
  window = tf.concat([begin, sides - 2 * begin], 0)
  image = tf.cond(
    tf.io.is_jpeg(encoded),
    lambda: tf.io.decode_and_crop_jpeg(
      encoded, window, channels=3, dct_method=protocol.dct_method
    ),
    lambda: _decode_and_crop(encoded, window),
  )
  return _to_uint8(_resize(image, (side, side), protocol))


def _square_of_short_side(
  encoded: Any, side: int, short: int, protocol: Protocol
) -> Any:
  """Resizes the short side and takes the central square.

  torchvision's Resize and CenterCrop, which timm uses too: the long side is
  rounded down, half a pixel of the margin to even.
  """
  image = _decode(encoded, protocol.dct_method)
  sides = tf.shape(image)[:2]
  sides = sides * short // tf.reduce_min(sides)
  image = _to_uint8(_resize(image, sides, protocol))
  margin = tf.cast(sides - side, tf.float64) / 2
  begin = tf.cast(tf.round(margin), tf.int32)
  return tf.image.crop_to_bounding_box(image, begin[0], begin[1], side, side)


def _resize(image: Any, sides: Any, protocol: Protocol) -> Any:
  if protocol.resize == 'bilinear_tf1':
    return tf.compat.v1.image.resize_bilinear(
      image[None], sides, align_corners=False, half_pixel_centers=False
    )[0]
  return tf.image.resize(
    image, sides, protocol.resize, antialias=protocol.antialias
  )


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


def _decode_shrunk(encoded: Any, window: Any, side: int, jpeg: bool) -> Any:
  """Decodes a window; of a JPEG less, but no less than `side` pixels."""

  def at(ratio: int) -> Callable[[], Any]:
    # The window is one of the image at that ratio.
    return lambda: tf.io.decode_and_crop_jpeg(
      encoded, window // ratio, channels=3, ratio=ratio
    )

  shortest = tf.reduce_min(window[2:])
  enough = [tf.cast(shortest >= side * r, tf.int32) for r in _RATIOS[1:]]
  case = tf.add_n(enough)
  branches = [at(ratio) for ratio in _RATIOS]
  if not jpeg:
    case = tf.where(tf.io.is_jpeg(encoded), case, len(_RATIOS))
    branches.append(lambda: _decode_and_crop(encoded, window))
  return tf.switch_case(case, branches)


def _decode_and_crop(encoded: Any, window: Any) -> Any:
  return tf.image.crop_to_bounding_box(_decode(encoded), *tf.unstack(window))

"""Evaluation preprocessing of encoded images, in TensorFlow."""

from typing import Any

import ml_collections
import numpy as np

from inception import paths
from inception.data.pixels import decode, multi_crop, resizing, signature
from inception.data.pixels.decode import Encoded
from inception.data.pixels.eval_transforms import EvalTransform, eval_transform
from inception.data.pixels.signature import Kind
from inception.data.tensorflow import tf
from inception.errors import UserError


def load_image(path: str, config: ml_collections.ConfigDict) -> np.ndarray:
  """Reads one image file and prepares it as evaluation does.

  Args:
    path: Path of an image file, see `signature.SUPPORTED`.
    config: `config.data`.

  Returns:
    uint8 [image_size, image_size, 3].

  Raises:
    UserError: The file cannot be read or decoded.
  """
  data = paths.read_bytes(path)
  try:
    (image,) = eval_images(tf.constant([data]), config).numpy()
  except tf.errors.OpError as error:
    raise UserError(
      f'{path} is not an image: {why_not_decoded(data)}'
    ) from error
  return image


def why_not_decoded(data: bytes) -> str:
  """Returns what is wrong with an image file, as the end of a sentence."""
  if not data:
    return 'it is empty'
  if signature.is_heic(data):
    return f'HEIC is not supported; convert it to {signature.SUPPORTED}'
  if not signature.is_supported(data):
    return f'its format is not {signature.SUPPORTED}'
  return 'it cannot be decoded because it is damaged or incomplete'


def eval_images(
  data: Any, config: ml_collections.ConfigDict, squares: int = 1
) -> Any:
  """Decodes, crops and resizes images for evaluation.

  Args:
    data: Encoded images, a string tensor [n].
    config: `config.data`.
    squares: 1 for the central square, or a number in `multi_crop.SQUARES`.

  Returns:
    uint8 [n, image_size, image_size, 3], or [n, squares, image_size, ...].
  """
  encoded = decode.inspect(data, config)
  side = config.image_size

  # No AutoGraph: no Python control flow depends on tensors.
  @tf.autograph.experimental.do_not_convert
  def one(parts: Any) -> Any:
    image = Encoded(*parts)
    if squares == 1:
      return _eval_image(image, config)
    return multi_crop.SQUARES[squares](image, config)

  # A loop, so the graph holds the operations of one image: unrolling it for 32
  # images takes 11 s to build instead of 0.8 s and runs no faster.
  return tf.map_fn(
    one,
    (encoded.data, encoded.kind, encoded.orientation),
    fn_output_signature=tf.TensorSpec(
      (*((squares,) if squares > 1 else ()), side, side, 3), tf.uint8
    ),
  )


def _eval_image(image: Encoded, config: ml_collections.ConfigDict) -> Any:
  transform = eval_transform(config)
  if transform.short_side is None:
    return _crop_and_resize(image, config, transform)
  return _resize_and_crop(image, config, transform)


def _crop_and_resize(
  image: Encoded, config: ml_collections.ConfigDict, transform: EvalTransform
) -> Any:
  """Decodes the central fraction of each side and resizes it to the square.

  As TF-slim does; the window is that of tf.image.central_crop.
  """

  def window(shape: Any) -> Any:
    sides = shape[:2]
    exact = tf.cast(sides, tf.float64)
    begin = tf.cast((exact - exact * transform.crop_pct) / 2, tf.int32)
    return tf.concat([begin, sides - 2 * begin], 0)

  def of_jpeg() -> Any:
    # The window is symmetric: the same before and after turning.
    pixels = tf.io.decode_and_crop_jpeg(
      image.data,
      window(tf.io.extract_jpeg_shape(image.data)),
      channels=3,
      dct_method=transform.dct_method,
    )
    return decode.turn(pixels, image.orientation)

  def of_other() -> Any:
    pixels = decode.decode_other(image, config)
    return decode.crop(pixels, window(tf.shape(pixels)))

  pixels = tf.cond(tf.equal(image.kind, Kind.JPEG), of_jpeg, of_other)
  side = config.image_size
  return resizing.to_uint8(resizing.resize(pixels, (side, side), transform))


def _resize_and_crop(
  image: Encoded, config: ml_collections.ConfigDict, transform: EvalTransform
) -> Any:
  """Resizes the short side and takes the central square.

  As torchvision's Resize and CenterCrop, which timm also uses: the long side is
  rounded down, and half-pixel margins to the nearest even number.
  """
  side = config.image_size
  pixels = decode.decode(image, config, transform.dct_method)
  short = transform.resized_side(side)
  sides = resizing.with_short_side(pixels, short)
  begin = tf.round(tf.cast(sides - side, tf.float64) / 2)
  (square,) = resizing.windows(pixels, sides, [begin], (side, side), transform)
  return square

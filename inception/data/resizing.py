"""Resizing of decoded images, in TensorFlow."""

from typing import Any

from inception.data.eval_transforms import EvalTransform
from inception.data.tensorflow import tf


def resize(image: Any, sides: Any, transform: EvalTransform) -> Any:
  """Resizes as a transform says.

  Args:
    image: [height, width, 3], uint8 or float.
    sides: Height and width of the result in pixels.
    transform: Names the interpolation.

  Returns:
    float32 [*sides, 3].
  """
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


def to_uint8(image: Any) -> Any:
  """Rounds to whole pixel values from 0 to 255."""
  return tf.cast(tf.clip_by_value(tf.round(image), 0, 255), tf.uint8)

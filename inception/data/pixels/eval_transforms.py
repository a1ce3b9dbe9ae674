"""Evaluation preprocessing: a table of named transforms.

Each entry is how a project crops, resizes and normalizes images for its
published weights. A config selects one in `data.eval_transform`; importing
weights records the one that they expect.
"""

from collections.abc import Callable
import dataclasses
import math

import ml_collections

from inception.errors import lookup

# `data.interpolation`. 'bilinear_tf1' is TensorFlow 1's resize_bilinear, which
# samples at pixel corners instead of centers.
INTERPOLATIONS = ('bilinear', 'bicubic', 'bilinear_tf1')

# `data.channel_order`: the slice that reorders red, green and blue.
CHANNEL_ORDERS = {'RGB': slice(None), 'BGR': slice(None, None, -1)}

# How `EvalTransform.short_side` rounds to whole pixels.
_ROUNDINGS: dict[str, Callable[[float], int]] = {
  'round': round,
  'floor': math.floor,
}


@dataclasses.dataclass(frozen=True)
class EvalTransform:
  """How evaluation crops, resizes and normalizes an image.

  Attributes:
    crop_pct: Fraction of each side that is kept.
    short_side: None: crop the central `crop_pct` of height and width, then
      resize to the square, as TF-slim does. 'round' or 'floor': resize the
      short side to image_size / crop_pct, rounded that way, then crop the
      central square, as torchvision and timm do.
    interpolation: A name in `INTERPOLATIONS`.
    antialias: Average over source pixels when shrinking.
    mean: Mean of pixels from 0 to 255, for red, green and blue.
    std: Standard deviation of the same pixels.
    as_stored: Take pixels as Pillow's RGB: JPEGs by its DCT and, unless the
      config says otherwise, neither turned upright nor composited over white.
  """

  crop_pct: float = 0.875
  short_side: str | None = None
  interpolation: str = 'bilinear'
  antialias: bool = False
  mean: tuple[float, float, float] = (127.5, 127.5, 127.5)
  std: tuple[float, float, float] = (127.5, 127.5, 127.5)
  as_stored: bool = False

  def resized_side(self, image_size: int) -> int | None:
    """Returns the short side after resizing in pixels; None if not resized."""
    if self.short_side is None:
      return None
    return _ROUNDINGS[self.short_side](image_size / self.crop_pct)

  @property
  def dct_method(self) -> str:
    """TensorFlow's DCT method for JPEGs: Pillow's, or TensorFlow's default.

    The two differ by up to 11 of 255 levels.
    """
    by_default = self.interpolation == 'bilinear_tf1' and not self.as_stored
    return '' if by_default else 'INTEGER_ACCURATE'


# Mean and standard deviation of ImageNet, as torchvision states them.
_IMAGENET_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
_IMAGENET_STD = (0.229 * 255, 0.224 * 255, 0.225 * 255)

_SLIM = EvalTransform(interpolation='bilinear_tf1')
_TORCHVISION = EvalTransform(short_side='round', antialias=True)
_TIMM = EvalTransform(
  short_side='floor', interpolation='bicubic', antialias=True
)

EVAL_TRANSFORMS = {
  'inception': EvalTransform(),
  'inception_antialias': EvalTransform(antialias=True),
  'keras': EvalTransform(),
  'slim': _SLIM,
  # torchvision's networks map ImageNet-normalized input back to [-1, 1].
  'torchvision': _TORCHVISION,
  # torchvision's transform for tensors before antialiasing became the default.
  'torchvision_tensor': dataclasses.replace(_TORCHVISION, antialias=False),
  'timm': _TIMM,
  # timm's inception_v3.gluon_in1k.
  'timm_gluon': dataclasses.replace(
    _TIMM, mean=_IMAGENET_MEAN, std=_IMAGENET_STD
  ),
  'timm_inception_resnet_v2': dataclasses.replace(_TIMM, crop_pct=0.8975),
  # The whole image as Pillow decodes it; see also inception/generative/.
  'fid': dataclasses.replace(
    _SLIM, crop_pct=1.0, mean=(128.0,) * 3, std=(128.0,) * 3, as_stored=True
  ),
  # Faces that are already cropped and aligned.
  'facenet': dataclasses.replace(_TORCHVISION, crop_pct=1.0, std=(128.0,) * 3),
}


def eval_transform(config: ml_collections.ConfigDict) -> EvalTransform:
  """Returns the transform that `config.data` names, with its overrides.

  Raises:
    UserError: There is no such transform.
  """
  transform = lookup(
    EVAL_TRANSFORMS, config.eval_transform, 'data.eval_transform'
  )
  changes = {
    name: config[name]
    for name in ('crop_pct', 'interpolation')
    if config[name] is not None
  }
  return dataclasses.replace(transform, **changes)


def transform_name(project: str, architecture: str) -> str:
  """Returns the name of the transform that a project's weights expect."""
  specific = f'{project}_{architecture}'
  return specific if specific in EVAL_TRANSFORMS else project


def record(
  config: ml_collections.ConfigDict, name: str, image_size: int
) -> None:
  """Records in a config the preprocessing that imported weights expect.

  Args:
    config: `config.data`; changed in place.
    name: A name in `EVAL_TRANSFORMS`.
    image_size: Height and width of the images in pixels.
  """
  transform = EVAL_TRANSFORMS[name]
  config.image_size = image_size
  config.eval_transform = name
  config.mean, config.std = transform.mean, transform.std

"""What images each project's weights expect, as fields of `config.data`."""

import dataclasses

import ml_collections

from inception import architectures


@dataclasses.dataclass(frozen=True)
class Preprocessing:
  """How a project prepares images for evaluation; all take RGB.

  Attributes:
    mean: subtracted from pixels of 0 to 255; one number a channel.
    std: what the difference is divided by.
    crop: share of the short side, or of each side, that is kept.
    short_side: resize the short side and take the central square, as
      torchvision and timm; False takes the central share of each side.
    resize: as `data.eval_resize`.
    antialias: as `data.eval_antialias`.
    class_offset: logit of the first class.
    image_size: pixels; None takes the network's.
  """

  mean: tuple[float, float, float] = (127.5, 127.5, 127.5)
  std: tuple[float, float, float] = (127.5, 127.5, 127.5)
  crop: float = 0.875
  short_side: bool = False
  resize: str = 'bilinear'
  antialias: bool = False
  class_offset: int = 0
  image_size: int | None = None


# ImageNet's own mean and deviation, as torchvision gives them.
_IMAGENET_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
_IMAGENET_STD = (0.229 * 255, 0.224 * 255, 0.225 * 255)

_TIMM = Preprocessing(short_side=True, resize='bicubic', antialias=True)

PREPROCESSING = {
  # A background class comes first.
  'slim': Preprocessing(resize='bilinear_tf1', class_offset=1),
  'keras': Preprocessing(),
  # Its networks map torchvision's usual input back to [-1, 1] first.
  'torchvision': Preprocessing(
    short_side=True, resize='bilinear', antialias=True
  ),
  'timm': _TIMM,
  # timm's inception_v3.gluon_in1k.
  'timm_gluon': dataclasses.replace(
    _TIMM, mean=_IMAGENET_MEAN, std=_IMAGENET_STD
  ),
  'timm_inception_resnet_v2': dataclasses.replace(_TIMM, crop=0.8975),
  # The whole image; 1008 classes in an order of their own.
  'fid': Preprocessing(
    mean=(128.0, 128.0, 128.0),
    std=(128.0, 128.0, 128.0),
    crop=1.0,
    resize='bilinear_tf1',
  ),
  # Faces that were cut out and aligned.
  'facenet': Preprocessing(
    std=(128.0, 128.0, 128.0), crop=1.0, antialias=True, image_size=160
  ),
}


def default_preprocessing(project: str, architecture: str) -> str:
  """Returns the name of what a project does for a network."""
  specific = f'{project}_{architecture}'
  return specific if specific in PREPROCESSING else project


def set_data_config(
  config: ml_collections.ConfigDict, name: str, architecture: str
) -> None:
  """Sets the fields of `config.data` to a preprocessing.

  Args:
    config: `config.data`; changed.
    name: in `PREPROCESSING`.
    architecture: name of the network.
  """
  how = PREPROCESSING[name]
  size = architectures.get_architecture(architecture).input_size
  config.image_size = how.image_size or size
  config.mean, config.std = how.mean, how.std
  config.eval_crop = how.crop
  if how.short_side:
    config.eval_short_side = short_side(config.image_size, how.crop, name)
  config.eval_resize = how.resize
  config.eval_antialias = how.antialias
  config.class_offset = how.class_offset


def short_side(image_size: int, crop: float, name: str) -> int:
  """Returns the pixels that the short side is resized to before the crop.

  timm rounds down (341 for 299), torchvision has 342 and 256.
  """
  exact = image_size / crop
  return round(exact) if name == 'torchvision' else int(exact)

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
    preset: as `data.eval_preset`.
    crop: share of the image that is kept, as `data.eval_crop`.
    class_offset: logit of the first class.
  """

  mean: tuple[float, float, float] = (127.5, 127.5, 127.5)
  std: tuple[float, float, float] = (127.5, 127.5, 127.5)
  preset: str | None = None
  crop: float = 0.875
  class_offset: int = 0


# ImageNet's own mean and deviation, as torchvision gives them.
_IMAGENET_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
_IMAGENET_STD = (0.229 * 255, 0.224 * 255, 0.225 * 255)

_TIMM = Preprocessing(preset='timm')

PREPROCESSING = {
  # A background class comes first.
  'slim': Preprocessing(preset='slim', class_offset=1),
  'keras': Preprocessing(),
  # Its networks map torchvision's usual input back to [-1, 1] first.
  'torchvision': Preprocessing(preset='torchvision'),
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
    preset='slim',
    crop=1.0,
  ),
  # Faces that were cut out and aligned.
  'facenet': Preprocessing(
    std=(128.0, 128.0, 128.0), preset='torchvision', crop=1.0
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
  config.image_size = architectures.get_architecture(architecture).input_size
  config.mean, config.std = how.mean, how.std
  config.eval_preset, config.eval_crop = how.preset, how.crop
  config.class_offset = how.class_offset

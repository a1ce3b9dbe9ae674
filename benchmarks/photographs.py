"""A folder of JPEGs made from the photographs that scikit-image ships."""

import pathlib

import numpy as np
from PIL import Image

from inception.errors import UserError

_NAMES = (
  'astronaut.png',
  'chelsea.png',
  'coffee.png',
  'rocket.jpg',
  'retina.jpg',
  'motorcycle_left.png',
  'hubble_deep_field.jpg',
)
_QUALITY = 98  # Gives files of about 110 kB, the size of ImageNet's.


def write_photographs(folder: pathlib.Path, count: int) -> None:
  """Writes JPEGs of about 500 x 375 pixels to folder/train/{0,1}/.

  Each is a different crop of one of seven photographs.

  Raises:
    UserError: scikit-image is not installed.
  """
  try:
    import skimage
  except ImportError as error:
    raise UserError(
      'scikit-image is missing; pip install -r requirements-dev.txt'
    ) from error
  data = pathlib.Path(skimage.__file__).parent / 'data'
  pictures = [Image.open(data / name).convert('RGB') for name in _NAMES]
  generator = np.random.default_rng(0)
  for i in range(count):
    picture = pictures[i % len(pictures)]
    path = folder / 'train' / str(i % 2) / f'{i:05d}.jpg'
    path.parent.mkdir(parents=True, exist_ok=True)
    crop = _random_crop(picture, generator)
    crop.save(path, quality=_QUALITY)


def _random_crop(
  picture: Image.Image, generator: np.random.Generator
) -> Image.Image:
  width = min(picture.width, picture.height * 4 / 3)
  width *= generator.uniform(0.6, 1.0)
  height = width * 3 / 4
  left = generator.uniform(0, picture.width - width)
  top = generator.uniform(0, picture.height - height)
  size = (
    int(500 * generator.uniform(0.9, 1.1)),
    int(375 * generator.uniform(0.9, 1.1)),
  )
  box = (left, top, left + width, top + height)
  return picture.resize(size, Image.Resampling.BICUBIC, box)

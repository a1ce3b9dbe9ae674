"""Images on disk are what Pillow, ADM and TFDS make of them."""

import io

import numpy as np
from PIL import Image
import pytest

from inception.errors import UserError
from inception.generative import image_sets
from tests.generative import recipe


def encoded(image, **how):
  content = io.BytesIO()
  image.save(content, **how)
  return content.getvalue()


@pytest.mark.parametrize(
  'mode', ['RGB', 'RGBA', 'LA', 'L', 'P', 'I;16', '1', 'CMYK', 'turned']
)
def test_pictures_are_pillows_rgb(tmp_path, mode):
  pixels = recipe.picture('modes', 33, 57)
  image = Image.fromarray(pixels)
  how = {'format': 'PNG'}
  if mode == 'I;16':
    image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
  elif mode in ('CMYK', 'turned'):
    how = {'format': 'JPEG', 'quality': 90}
    if mode == 'turned':
      exif = Image.Exif()
      exif[0x0112] = 6
      how['exif'] = exif
    else:
      image = image.convert(mode)
  else:
    image = image.convert(mode)
    if mode in ('RGBA', 'LA'):
      image.putalpha(Image.fromarray(pixels[..., 1]))
  (tmp_path / 'picture.png').write_bytes(encoded(image, **how))
  (found,) = image_sets.open_images(str(tmp_path)).images(range(1))
  with Image.open(tmp_path / 'picture.png') as file:
    expected = np.asarray(file.convert('RGB'))
  np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize('size', [(33, 57), (301, 450), (256, 256), (600, 64)])
def test_the_crop_is_adms(size):
  """Written as in ADM's image_datasets.py, center_crop_arr."""
  pixels = recipe.picture('crop', *size)
  side = 64
  image = Image.fromarray(pixels)
  while min(*image.size) >= 2 * side:
    image = image.resize(
      tuple(x // 2 for x in image.size), resample=Image.Resampling.BOX
    )
  scale = side / min(*image.size)
  image = image.resize(
    tuple(round(x * scale) for x in image.size),
    resample=Image.Resampling.BICUBIC,
  )
  array = np.array(image)
  y, x = ((length - side) // 2 for length in array.shape[:2])
  expected = array[y : y + side, x : x + side]
  np.testing.assert_array_equal(image_sets.adm_crop(pixels, side), expected)


def test_a_split_of_tfds_is_read():
  digits = image_sets.open_images('tfds:digits:test[:5]')
  assert digits.count == 5
  assert {x.shape for x in digits.images(range(5))} == {(8, 8, 3)}


def test_an_array_that_is_cut_off_is_refused(tmp_path):
  images = np.zeros((10, 8, 8, 3), np.uint8)
  np.save(tmp_path / 'images.npy', images)
  whole = (tmp_path / 'images.npy').read_bytes()
  (tmp_path / 'images.npy').write_bytes(whole[:-1])
  pictures = image_sets.open_images(str(tmp_path / 'images.npy'))
  with pytest.raises(UserError, match='images.npy is cut off'):
    list(pictures.images(range(10)))


def test_a_damaged_archive_is_refused(tmp_path):
  images = np.random.RandomState(0).randint(0, 9, (50, 8, 8, 3))
  np.savez_compressed(tmp_path / 'images.npz', arr_0=images.astype(np.uint8))
  content = bytearray((tmp_path / 'images.npz').read_bytes())
  content[400:600] = bytes(200)
  (tmp_path / 'images.npz').write_bytes(content)
  with pytest.raises(UserError, match='images.npz'):
    pictures = image_sets.open_images(str(tmp_path / 'images.npz'))
    list(pictures.images(range(50)))

"""Random crops: decoded at reduced size where possible, and upright."""

import io

import numpy as np
from PIL import Image, ImageOps
import pytest

from inception.data.pixels import crops, decode
from inception.data.tensorflow import tf


def squares(files, config, seed, jpeg=False):
  """Returns the crops of encoded images, all with the same seed."""
  encoded = decode.inspect(tf.constant(files), config.data)
  seeds = [tf.constant([0, seed], tf.int64)] * len(files)
  found = crops.random_crops(encoded, seeds, config.data, jpeg)
  side = config.data.image_size
  orientations = encoded.orientation.numpy()
  resized = crops.resize_crops(side, orientations, *(x.numpy() for x in found))
  return [x.shape for x in found], resized.astype(int)


def ramps(height, width):
  """A picture without any symmetry."""
  rows, columns = np.mgrid[0:height, 0:width]
  channels = rows * 200 / height, columns * 200 / width, np.full_like(rows, 99)
  return Image.fromarray(np.stack(channels, -1).astype(np.uint8))


def save(image, *arguments, **options):
  buffer = io.BytesIO()
  image.save(buffer, *arguments, **options)
  return buffer.getvalue()


@pytest.mark.parametrize('shrink', [1, 2, 4, 8])
def test_large_jpegs_are_decoded_at_reduced_size(config, shrink):
  """Scaled decoding gives the same crop as full decoding, averaged."""
  config.data.image_size = 32
  config.data.crop_area, config.data.crop_aspect = (1.0, 1.0), (1.0, 1.0)
  image = ramps(32 * shrink + 5, 32 * shrink + 5)
  file = save(image, 'JPEG', quality=95)
  for jpeg in (True, False):
    (shape,), (square,) = squares([file], config, 0, jpeg)
    assert 32 <= min(shape[:2]) <= 32 + 5
    wanted = np.asarray(image.resize((32, 32), Image.Resampling.BOX))
    assert np.abs(square - wanted).mean() < 2


@pytest.mark.parametrize('orientation', range(1, 9))
def test_crops_of_rotated_jpegs_match_those_of_upright_images(
  config, orientation
):
  config.data.image_size, config.data.crop_area = 24, (0.2, 1.0)
  exif = Image.Exif()
  exif[0x0112] = orientation
  turned = save(ramps(60, 90), 'JPEG', quality=98, exif=exif)
  upright = ImageOps.exif_transpose(Image.open(io.BytesIO(turned)))
  for seed in range(3):
    _, (found, wanted) = squares([turned, save(upright, 'PNG')], config, seed)
    # Decoders smooth colors at the edges of a window differently.
    assert np.abs(found - wanted).mean() < 3


def test_another_format_among_jpegs_is_detected(config):
  with pytest.raises(tf.errors.InvalidArgumentError):
    squares([save(ramps(40, 40), 'PNG')], config, 0, jpeg=True)

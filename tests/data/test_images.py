"""Evaluation images against Pillow and TensorFlow."""

import io
import pathlib

import numpy as np
from PIL import Image
import pytest
import skimage

from inception.data import images
from inception.data.tensorflow import tf


def picture(height, width):
  """A smooth picture with edges and some noise."""
  generator = np.random.default_rng(0)
  coarse = generator.integers(0, 256, (7, 9, 3), np.uint8)
  smooth = np.asarray(Image.fromarray(coarse).resize((width, height), 3))
  noise = generator.integers(-20, 20, smooth.shape)
  return np.uint8(np.clip(smooth.astype(int) + noise, 0, 255))


def encoded(pixels):
  buffer = io.BytesIO()
  Image.fromarray(pixels).save(buffer, 'PNG')
  return tf.constant(buffer.getvalue())


@pytest.mark.parametrize('size', [(80, 121), (133, 70), (60, 60)])
@pytest.mark.parametrize(
  'resize, pillow',
  [
    ('bilinear', Image.Resampling.BILINEAR),
    ('bicubic', Image.Resampling.BICUBIC),
  ],
)
def test_the_square_of_the_short_side_is_torchvisions(
  config, size, resize, pillow
):
  config.data.image_size, config.data.eval_short_side = 47, 54
  config.data.eval_resize, config.data.eval_antialias = resize, True
  pixels = picture(*size)
  found = images.eval_image(encoded(pixels), config.data).numpy()

  height, width = size
  sides = (int(54 * height / min(size)), int(54 * width / min(size)))
  assert min(sides) == 54
  resized = Image.fromarray(pixels).resize(sides[::-1], pillow)
  top, left = (int(round((side - 47) / 2.0)) for side in sides)
  wanted = np.asarray(resized.crop((left, top, left + 47, top + 47)))
  difference = np.abs(found.astype(int) - wanted)
  assert found.shape == (47, 47, 3)
  assert difference.mean() < 0.5 and difference.max() <= 3


def test_the_central_share_is_that_of_tf_image_central_crop(config):
  config.data.image_size, config.data.eval_crop = 40, 0.875
  pixels = picture(93, 77)
  for antialias in (False, True):
    config.data.eval_antialias = antialias
    found = images.eval_image(encoded(pixels), config.data)
    cropped = tf.image.central_crop(tf.constant(pixels), 0.875)
    wanted = tf.image.resize(cropped, (40, 40), antialias=antialias)
    np.testing.assert_allclose(found, wanted, atol=0.51)


def test_bilinear_as_in_tensorflow_1_takes_corners_for_centres(config):
  config.data.image_size, config.data.eval_crop = 2, 1.0
  config.data.eval_resize = 'bilinear_tf1'
  row = np.repeat(np.uint8([[0, 60, 120, 180]]), 4, 0)[:, :, None]
  found = images.eval_image(encoded(row.repeat(3, 2)), config.data)
  np.testing.assert_array_equal(found[0, :, 0], [0, 120])
  config.data.eval_resize = 'bilinear'
  found = images.eval_image(encoded(row.repeat(3, 2)), config.data)
  np.testing.assert_array_equal(found[0, :, 0], [30, 150])


@pytest.mark.parametrize('name', ['astronaut.png', 'chelsea.png', 'rocket.jpg'])
@pytest.mark.parametrize('preset, short', [('torchvision', 342), ('timm', 341)])
def test_presets_on_photographs_are_within_a_level_of_pillow(
  config, name, preset, short
):
  config.data.image_size, config.data.eval_crop = 299, 0.875
  config.data.eval_preset = preset
  path = pathlib.Path(skimage.__file__).parent / 'data' / name
  found = images.load_image(str(path), config.data)
  filter_ = {'torchvision': Image.Resampling.BILINEAR}.get(
    preset, Image.Resampling.BICUBIC
  )
  photograph = Image.open(path).convert('RGB')
  shortest = min(photograph.size)
  sides = [int(short * side / shortest) for side in photograph.size]
  left, top = (int(round((side - 299) / 2.0)) for side in sides)
  wanted = photograph.resize(sides, filter_).crop(
    (left, top, left + 299, top + 299)
  )
  difference = np.abs(found.astype(int) - np.asarray(wanted))
  assert difference.mean() < 0.5


@pytest.mark.parametrize('name', ['astronaut.png', 'chelsea.png', 'rocket.jpg'])
def test_the_preset_of_slim_on_photographs_is_tensorflows(config, name):
  config.data.image_size, config.data.eval_crop = 299, 0.875
  config.data.eval_preset = 'slim'
  path = pathlib.Path(skimage.__file__).parent / 'data' / name
  found = images.load_image(str(path), config.data)
  decoded = tf.io.decode_image(path.read_bytes(), expand_animations=False)
  cropped = tf.image.central_crop(decoded, 0.875)
  wanted = tf.compat.v1.image.resize_bilinear(cropped[None], (299, 299))[0]
  assert np.abs(found - wanted.numpy()).max() <= 0.5 + 1e-3

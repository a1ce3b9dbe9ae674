"""Images for evaluation and training against Pillow and TensorFlow."""

import dataclasses
import io
import pathlib

import numpy as np
from PIL import Image
import pytest
import skimage

from inception.data.pixels import images, resizing
from inception.data.pixels.eval_transforms import INTERPOLATIONS, EvalTransform
from inception.data.tensorflow import tf

PHOTOGRAPHS = pathlib.Path(skimage.__file__).parent / 'data'


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
  return tf.constant([buffer.getvalue()])


@pytest.mark.parametrize('size', [(80, 121), (133, 70), (60, 60)])
@pytest.mark.parametrize(
  'interpolation, pillow',
  [
    ('bilinear', Image.Resampling.BILINEAR),
    ('bicubic', Image.Resampling.BICUBIC),
  ],
)
def test_resizing_the_short_side_matches_torchvision(
  config, size, interpolation, pillow
):
  config.data.image_size, config.data.crop_pct = 47, 47 / 54
  config.data.eval_transform = 'torchvision'
  config.data.interpolation = interpolation
  pixels = picture(*size)
  (found,) = images.eval_images(encoded(pixels), config.data).numpy()

  height, width = size
  sides = (int(54 * height / min(size)), int(54 * width / min(size)))
  assert min(sides) == 54
  resized = Image.fromarray(pixels).resize(sides[::-1], pillow)
  top, left = (int(round((side - 47) / 2.0)) for side in sides)
  wanted = np.asarray(resized.crop((left, top, left + 47, top + 47)))
  difference = np.abs(found.astype(int) - wanted)
  assert found.shape == (47, 47, 3)
  assert difference.mean() < 0.5 and difference.max() <= 3


@pytest.mark.parametrize('name', ['inception', 'inception_antialias'])
def test_the_central_crop_matches_tf_image(config, name):
  config.data.image_size, config.data.crop_pct = 40, 0.875
  config.data.eval_transform = name
  pixels = picture(93, 77)
  (found,) = images.eval_images(encoded(pixels), config.data)
  cropped = tf.image.central_crop(tf.constant(pixels), 0.875)
  antialias = name == 'inception_antialias'
  wanted = tf.image.resize(cropped, (40, 40), antialias=antialias)
  np.testing.assert_allclose(found, wanted, atol=0.51)


def test_tensorflow_1s_bilinear_samples_at_pixel_corners(config):
  config.data.image_size, config.data.crop_pct = 2, 1.0
  config.data.interpolation = 'bilinear_tf1'
  row = np.repeat(np.uint8([[0, 60, 120, 180]]), 4, 0)[:, :, None]
  (found,) = images.eval_images(encoded(row.repeat(3, 2)), config.data)
  np.testing.assert_array_equal(found[0, :, 0], [0, 120])
  config.data.interpolation = 'bilinear'
  (found,) = images.eval_images(encoded(row.repeat(3, 2)), config.data)
  np.testing.assert_array_equal(found[0, :, 0], [30, 150])


def test_no_interpolation_falls_through_to_another():
  pixels, transform = tf.constant(picture(9, 7)), EvalTransform()
  results = [
    resizing.resize(
      pixels, (4, 4), dataclasses.replace(transform, interpolation=name)
    ).numpy()
    for name in INTERPOLATIONS
  ]
  assert len({result.tobytes() for result in results}) == 3
  with pytest.raises(ValueError, match="'area'"):
    resizing.resize(
      pixels, (4, 4), dataclasses.replace(transform, interpolation='area')
    )


@pytest.mark.parametrize('name', ['astronaut.png', 'chelsea.png', 'rocket.jpg'])
@pytest.mark.parametrize(
  'transform, short, pillow',
  [
    ('torchvision', 342, Image.Resampling.BILINEAR),
    ('timm', 341, Image.Resampling.BICUBIC),
  ],
)
def test_photographs_are_within_a_level_of_pillow(
  config, name, transform, short, pillow
):
  config.data.image_size, config.data.crop_pct = 299, None
  config.data.eval_transform = transform
  found = images.load_image(str(PHOTOGRAPHS / name), config.data)
  photograph = Image.open(PHOTOGRAPHS / name).convert('RGB')
  shortest = min(photograph.size)
  sides = [int(short * side / shortest) for side in photograph.size]
  left, top = (int(round((side - 299) / 2.0)) for side in sides)
  wanted = photograph.resize(sides, pillow).crop(
    (left, top, left + 299, top + 299)
  )
  difference = np.abs(found.astype(int) - np.asarray(wanted))
  assert difference.mean() < 0.5


@pytest.mark.parametrize('name', ['astronaut.png', 'chelsea.png', 'rocket.jpg'])
def test_photographs_for_slim_match_tensorflow(config, name):
  config.data.image_size, config.data.crop_pct = 299, None
  config.data.eval_transform = 'slim'
  path = PHOTOGRAPHS / name
  found = images.load_image(str(path), config.data)
  decoded = tf.io.decode_image(path.read_bytes(), expand_animations=False)
  cropped = tf.image.central_crop(decoded, 0.875)
  wanted = tf.compat.v1.image.resize_bilinear(cropped[None], (299, 299))[0]
  assert np.abs(found - wanted.numpy()).max() <= 0.5 + 1e-3


@pytest.mark.parametrize('interpolation', INTERPOLATIONS)
@pytest.mark.parametrize('antialias', [False, True])
@pytest.mark.parametrize('shape', [(4, 120), (500, 17), (1, 64), (60, 40)])
def test_a_window_alone_matches_the_whole_image(
  interpolation, antialias, shape, monkeypatch
):
  transform = EvalTransform(interpolation=interpolation, antialias=antialias)
  image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
  sides = resizing.with_short_side(image, 33)
  begins = [sides * 0, (sides - 29) // 2, sides - 29]

  def windows(most_pixels):
    monkeypatch.setattr(resizing, '_MOST_PIXELS', most_pixels)
    found = resizing.windows(image, sides, begins, (29, 29), transform)
    return np.stack(found).astype(int)

  whole = windows(2**20)
  assert np.abs(windows(0) - whole).max() <= 1
  resized = resizing.resize(image, tf.cast(sides, tf.int32), transform)
  resized = resizing.to_uint8(resized).numpy()
  assert (whole[2] == resized[-29:, -29:]).all()  # Bit-identical.


@pytest.mark.parametrize('squares', [1, 5, 6])
def test_only_the_windows_of_a_long_picture_are_resized(
  squares, config, monkeypatch
):
  """Resized whole, it would have 342 by 10 million pixels."""
  config.data.image_size, config.data.eval_transform = 299, 'torchvision'
  row = np.arange(30_000, dtype=np.uint16).reshape(1, -1, 1)
  image = np.repeat(row // 128, 3, 2).astype(np.uint8)
  (found,) = images.eval_images(encoded(image), config.data, squares).numpy()
  middle = 30_000 // 2 // 128
  center = found if squares == 1 else found[-1]
  assert np.abs(center.astype(int) - middle).max() <= 1
  if squares == 5:  # The corners are those of the picture.
    ends = [square.astype(int).mean() for square in found[:4]]
    assert np.allclose(ends, [0, 29_999 // 128] * 2, atol=1)


@pytest.mark.parametrize('kind', ['turned', 'transparent'])
def test_the_transform_fid_takes_pixels_as_pillow_does(config, kind):
  """JPEGs by Pillow's DCT, not turned; alpha dropped; as FID's evaluators."""
  config.data.image_size, config.data.eval_transform = 40, 'fid'
  image = Image.fromarray(picture(40, 40))
  content = io.BytesIO()
  if kind == 'turned':
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(content, 'JPEG', exif=exif)
  else:
    image.putalpha(128)
    image.save(content, 'PNG')
  (found,) = images.eval_images(tf.constant([content.getvalue()]), config.data)
  with Image.open(io.BytesIO(content.getvalue())) as file:
    np.testing.assert_array_equal(found, np.asarray(file.convert('RGB')))

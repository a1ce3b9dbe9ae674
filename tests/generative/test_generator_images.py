"""Images as generators return them: floats in a range, bytes, and no images."""

import jax.numpy as jnp
import numpy as np
import pytest

from inception.errors import UserError
from inception.generative.generator_images import ValueRange
from tests.generative.cheap import IMAGES, SHAPE, assert_expected, make, values


@pytest.mark.parametrize(
  ('rounding', 'expected'), [('round', 100), ('truncate', 99), ('none', 99.6)]
)
def test_floats_are_rounded_as_asked(rounding, expected):
  x = jnp.array([[[99.6 / 127.5 - 1]]])
  pixels = ValueRange(-1, 1, rounding).to_pixels(x)
  assert pixels.shape == (1, 1, 3)
  assert float(pixels[0, 0, 0]) == pytest.approx(expected, abs=1e-3)


def test_floats_give_the_values_of_their_pixels():
  floats = IMAGES.astype(np.float32) / 127.5 - 1
  assert_expected(values([floats]))
  assert_expected(values([IMAGES / np.float32(255)], value_range=(0, 1)))
  beyond = np.where(floats > 0.9, 1.5, np.where(floats < -0.9, -1.5, floats))
  clipped = np.clip(beyond, -1, 1)
  assert values([beyond]) == values([clipped])


def test_gray_images_are_repeated():
  gray = IMAGES[..., :1]
  repeated = np.repeat(gray, 3, -1)
  assert values([gray]) == values([repeated])


@pytest.mark.parametrize(
  ('images', 'message'),
  [
    (IMAGES[..., :2], 'with 1 or 3 channels'),
    (IMAGES[0], 'are not .batch, height, width, 3'),
    (IMAGES.astype(np.int32), 'int32 are neither uint8 nor floats'),
    (IMAGES.astype(np.float32), 'are outside value_range'),
    (np.full((2, *SHAPE), np.nan, np.float32), 'hold NaN'),
  ],
)
def test_invalid_images_are_refused(images, message):
  with pytest.raises(UserError, match=message):
    make().update(images)


def test_a_likely_wrong_range_is_reported(capsys):
  make().update(IMAGES / np.float32(255))
  assert 'set value_range=(0, 1)' in capsys.readouterr().err
  floats = IMAGES / np.float32(255) * 1.3 - 0.3
  make(value_range=(0, 1)).update(floats)
  assert 'set value_range=(-1, 1)' in capsys.readouterr().err
  few_bright = np.where(IMAGES > 240, np.float32(250), np.float32(0))
  with pytest.raises(UserError, match='from 0 to 250, are outside'):
    make().update(few_bright)

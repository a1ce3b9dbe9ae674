"""Resizing as other evaluators do it."""

import itertools

import jax
import numpy as np
from PIL import Image
import pytest

from inception.data.tensorflow import tf
from inception.errors import UserError
from inception.generative import modes
from tests.generative import recipe
from tests.parity import peers

SIZES = ((33, 57), (301, 450), (512, 385))


def picture(size):
  return recipe.picture(f'{size[0]}x{size[1]}', *size)


def resized(image, name):
  """Returns pixels, float64 [299, 299, 3]."""
  mode = modes.find(name)
  prepared = jax.jit(lambda x: modes.prepare(x, name))(image[None])
  return np.asarray(prepared)[0].astype(np.float64) * mode.std + mode.mean


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('name', modes.MODES)
def test_pixels_equal_those_of_the_evaluator(size, name):
  pixels = resized(picture(size), name)
  # Sums of pixels and of their squares.
  total, squares = peers.generative()['sums'][f'{size[0]}x{size[1]}'][name]
  assert pixels.sum() == pytest.approx(total, rel=1e-7)
  assert (pixels**2).sum() == pytest.approx(squares, rel=1e-7)


@pytest.mark.parametrize('size', SIZES)
def test_tf1_equals_tensorflow_to_the_bit(size):
  image = picture(size)
  mode = modes.find('tf1')
  axes = modes.resizes(mode, *size)

  @jax.jit
  def both_axes(x):
    return axes[0](axes[1](x, 2), 1)

  theirs = tf.compat.v1.image.resize_bilinear(
    image[None].astype(np.float32), (299, 299)
  )
  ours = both_axes(image[None].astype(np.float32))
  np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize('size', SIZES)
def test_clean_equals_pillow(size):
  image = picture(size)
  channels = [
    Image.fromarray(image[..., i].astype(np.float32)).resize(
      (299, 299), Image.Resampling.BICUBIC
    )
    for i in range(3)
  ]
  theirs = np.clip(np.stack([np.asarray(x) for x in channels], -1), 0, 255)
  np.testing.assert_allclose(resized(image, 'clean'), theirs, atol=1e-2)


@pytest.mark.parametrize('size', SIZES)
def test_modes_differ(size):
  pixels = {name: resized(picture(size), name) for name in modes.MODES}
  for one, other in itertools.combinations(modes.MODES, 2):
    largest = np.abs(pixels[one] - pixels[other]).max()
    grows = max(size) < modes.SIDE
    if grows and {one, other} == {'pytorch', 'torchmetrics'}:
      assert largest < 2e-3
    else:
      assert largest > 1


@pytest.mark.parametrize('name', modes.MODES)
def test_padding_does_not_change_pixels(name):
  size = (33, 57)
  padded = modes.padded_size(*size)
  assert padded == (64, 64)
  frame = np.full((1, *padded, 3), 77, np.uint8)
  frame[0, :33, :57] = picture(size)
  mode = modes.find(name)
  prepare = jax.jit(lambda axes, x: modes.apply(mode, axes, x))
  ours = prepare(modes.resizes(mode, *size, padded), frame)
  theirs = prepare(modes.resizes(mode, *size), picture(size)[None])
  np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_an_unknown_mode_is_refused():
  with pytest.raises(UserError, match="mode='tf2' is not one of tf1, pytorch"):
    modes.prepare(np.zeros((1, 8, 8, 3)), 'tf2')

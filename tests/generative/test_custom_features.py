"""Features of one's own are measured like those of the network."""

import jax.numpy as jnp
import numpy as np
import pytest

from inception import generative
from inception.errors import UserError
from tests.generative.cheap import IMAGES, MATRIX, REAL, features_of, project


def test_features_in_bfloat16_are_kept_in_float32(tmp_path):
  low = generative.custom('low', lambda _, x: x[:, 0, :6, 0].astype('bfloat16'))
  np.save(tmp_path / 'images.npy', IMAGES)
  found = generative.read(tmp_path / 'images.npy', low, ['features'])
  generative.write_statistics(tmp_path / 'low.npz', found)
  again = generative.read_statistics(tmp_path / 'low.npz')
  assert again.features.dtype == np.float32
  np.testing.assert_array_equal(again.features, found.features)


def test_other_features_see_floats():
  """Arithmetic of bytes would wrap."""
  seen = []

  def function(variables, images):
    seen.append(images.dtype)
    return project(MATRIX, images - 128.0)

  evaluator = generative.Evaluator(generative.custom('x', function), REAL)
  evaluator.update(IMAGES)
  evaluator.compute()
  assert set(seen) == {jnp.dtype('float32')}


def test_other_features_of_a_wrong_shape_are_refused():
  grid = generative.custom('grid', lambda _, images: images)
  with pytest.raises(UserError, match='of grid must return .batch, features.'):
    generative.Evaluator(grid, REAL).update(IMAGES)


def test_other_features_need_only_a_function(tmp_path):
  np.save(tmp_path / 'images.npy', IMAGES)
  other = generative.custom('projection', project, MATRIX)
  found = generative.read(
    tmp_path / 'images.npy', other, ['features'], batch_size=20
  )
  assert found.facts['feature'] == 'projection'
  np.testing.assert_allclose(found.features, features_of(IMAGES), atol=1e-5)


def test_one_row_for_all_images_is_refused():
  row = generative.custom('row', lambda _, images: images.mean((0, 1, 2))[None])
  with pytest.raises(UserError, match='not .1, 3. for 16 images'):
    generative.Evaluator(row, REAL).update(IMAGES)


def test_names_with_a_meaning_are_refused():
  with pytest.raises(UserError, match='the name spatial is taken'):
    generative.custom('spatial', project)


def test_reading_checks_what_a_file_says(tmp_path):
  other = generative.custom('other', project, MATRIX)
  np.save(tmp_path / 'images.npy', IMAGES)
  found = generative.read(tmp_path / 'images.npy', other)
  generative.write_statistics(tmp_path / 'other.npz', found)
  mine = generative.custom('mine', project, MATRIX)
  with pytest.raises(UserError, match='features of the two sides differ'):
    generative.read(tmp_path / 'other.npz', mine)
  with pytest.raises(UserError, match='statistics without features'):
    generative.read(tmp_path / 'other.npz', other, ['features'])
  with pytest.raises(UserError, match="keep='features' may have"):
    generative.read(tmp_path / 'images.npy', other, 'features')

"""The scripts in examples/generative run, and count every image once."""

import importlib

import jax
import jax.numpy as jnp
import pytest

from inception import generative
from inception.generative.extractor import custom
from tests.generative import recipe


def pooled(variables, images):
  """Mean and deviation of each channel, of half of it, and of a corner."""
  del variables
  parts = [images, images[:, :16], images[:, :8, :8]]
  pooled = [f(part, axis=(1, 2)) for part in parts for f in (jnp.mean, jnp.std)]
  return jnp.concatenate(pooled, axis=-1)


@pytest.mark.parametrize('name', ['pmapped', 'host_arrays', 'sharded'])
def test_the_script_gives_scores(name):
  script = importlib.import_module(f'examples.generative.{name}')
  reference = generative.Sample(
    generative.of_features(recipe.features('examples', 100, 18))
  )
  evaluator = generative.Evaluator(
    custom('pooled', pooled), reference, num_images=100, metrics=['fid']
  )
  scores = script.evaluate(evaluator, jnp.float32(0.5), jax.random.key(0))
  assert scores['fid'] > 0
  # The same generator again, as in the next epoch.
  again = script.evaluate(evaluator, jnp.float32(0.5), jax.random.key(0))
  assert again == scores

"""A network that is cheap to compile, images, and a reference for them."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest

from inception import generative
from inception.generative import frechet
from inception.generative.extractor import Extractor

SIZE = 6
SHAPE = (8, 10, 3)
_STATE = np.random.RandomState(0)
MATRIX = _STATE.standard_normal((np.prod(SHAPE), SIZE)).astype(np.float32)
IMAGES = _STATE.randint(0, 256, (61, *SHAPE)).astype(np.uint8)
METRICS = ('fid', 'sfid', 'is', 'precision_recall', 'mind')


def project(variables, images):
  flat = images.reshape(len(images), -1) / 255 - 0.5
  return jnp.matmul(flat, variables, precision='highest')


def _all_features(variables, images):
  features = project(variables, images)
  return {
    'projection': features,
    'spatial': features[:, :3] ** 2,
    'logits': features * 3,
  }


EXTRACTOR = Extractor(
  'cheap', _all_features, MATRIX, 'projection', ('spatial', 'logits')
)


def features_of(images):
  """The main features, by NumPy."""
  flat = images.reshape(len(images), -1).astype(np.float32) / 255 - 0.5
  return flat @ MATRIX


_REAL = features_of(255 - IMAGES[:50])
REAL = generative.Sample(
  frechet.of_features(_REAL),
  frechet.of_features(_REAL[:, :3] ** 2),
  features=_REAL,
)


def make(**how):
  return generative.Evaluator(EXTRACTOR, REAL, **{'metrics': METRICS, **how})


def values(batches, **how):
  evaluator = make(**how)
  for batch in batches:
    evaluator.update(batch)
  return evaluator.compute()


@functools.cache
def expected():
  """The values of all images, in one batch."""
  return values([IMAGES])


def assert_expected(found):
  assert found == pytest.approx(expected(), rel=1e-5)

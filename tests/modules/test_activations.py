"""Probabilities, averages and losses follow the last activation."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from inception.evaluation import route, score
from inception.evaluation.details import reliability
from inception.modules.activations import ACTIVATIONS
from inception.predict.predictor import Predictor, average_crops, top_classes

LOGITS = np.array([[-1.0, 2.0, 0.5], [3.0, -2.0, 2.5]], np.float32)
LABELS = np.array([1, 2])
PROBABILITIES = {
  'softmax': special.softmax(LOGITS, 1),
  'sigmoid': special.expit(LOGITS),
}


@pytest.mark.parametrize('name', ACTIVATIONS)
def test_the_top_classes_have_their_probabilities(name):
  found = top_classes(jnp.asarray(LOGITS), 2, name)
  order = np.argsort(-LOGITS, 1)[:, :2]
  wanted = np.take_along_axis(PROBABILITIES[name], order, 1)
  np.testing.assert_array_equal(found['label'], order)
  np.testing.assert_allclose(found['probability'], wanted, rtol=1e-6)


def test_logits_that_are_not_finite_give_no_prediction():
  logits = np.array([[0.0, np.nan, 1.0], [0.0, 2.0, 1.0]], np.float32)
  found = top_classes(jnp.asarray(logits), 2)
  assert found['label'].tolist() == [[-1, -1], [1, 2]]
  assert np.isnan(found['probability'][0]).all()


@pytest.mark.parametrize('name', ACTIVATIONS)
def test_crops_are_averaged_as_probabilities(name):
  # Two squares, with their mirror images: each row of logits twice.
  def predict(variables, images):
    return jnp.where(images[:, 0, 0, :1] > 0, *jnp.asarray(LOGITS)[:, None])

  images = jnp.zeros((1, 2, 4, 4, 3)).at[:, 0].set(1)
  logits = average_crops(Predictor(predict), name)(None, images)
  np.testing.assert_allclose(
    ACTIVATIONS[name].probabilities(logits)[0],
    PROBABILITIES[name].mean(0),
    rtol=1e-5,
  )


@pytest.mark.parametrize('name', ACTIVATIONS)
def test_the_loss_matches_the_activation(name):
  p, hot = PROBABILITIES[name], np.eye(3)[LABELS]
  nats = -np.log(p[hot > 0]).sum()
  if name == 'sigmoid':
    nats -= np.log(1 - p[hot == 0]).sum()
  sums = score.masked_sums(
    jnp.asarray(LOGITS), jnp.asarray(LABELS), jnp.ones(2), name
  )
  assert float(sums['loss']) == pytest.approx(nats, rel=1e-5)


@pytest.mark.parametrize('name', ACTIVATIONS)
def test_the_confidence_of_a_cascade_is_the_largest_probability(name):
  np.testing.assert_allclose(
    route.confidence(LOGITS, name), PROBABILITIES[name].max(1), rtol=1e-6
  )


def test_a_probability_that_is_not_finite_is_in_no_bin():
  bins = reliability(np.array([np.nan, 0.5]), np.array([False, True]))
  assert bins.sum(0).tolist() == [1, 0.5, 1]

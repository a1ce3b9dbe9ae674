"""Two networks that share the work: at random, and by confidence."""

import jax.numpy as jnp
import numpy as np
import pytest

from inception.evaluation import pair, route
from inception.predict.predictor import Predictor


def runner(table, rows=4):
  """Returns a runner that looks up logits by the first pixel of each image."""

  def predict(variables, images):
    return variables[images[:, 0, 0, 0]]

  return route.Runner(Predictor(predict), jnp.asarray(table), 1, rows)


@pytest.fixture
def two():
  """40 images; A is right for even ones, B for all but every third."""
  count = 40
  generator = np.random.default_rng(0)
  labels = generator.integers(0, 3, count)
  images = np.zeros((count, 2, 2, 3), np.uint8)
  images[:, 0, 0, 0] = np.arange(count)
  tables = []
  for right in (np.arange(count) % 2 == 0, np.arange(count) % 3 > 0):
    answers = np.where(right, labels, (labels + 1) % 3)
    table = np.zeros((count, 4), np.float32)  # Class 0: background.
    # Mostly more confident where it is right.
    table[np.arange(count), answers + 1] = 1 + right + generator.random(count)
    tables.append(table)
  runners = [runner(table, rows) for table, rows in zip(tables, (4, 7))]
  return pair.Pair(['a', 'b'], runners, [images, images], labels, 'x', None)


def test_extreme_shares_and_thresholds_give_a_single_network(two):
  a, b = (end['top1'] for end in two.ends)
  assert (a, b) == (0.5, 26 / 40)
  assert two.mixture(1.0, 0)['top1'] == two.cascade(0.0)['top1'] == a
  assert two.mixture(0.0, 0)['top1'] == two.cascade(1.0)['top1'] == b
  assert two.cascade(0.0)['passed_on'] == 0
  assert two.cascade(1.0)['passed_on'] == 1


def test_a_random_share_gives_the_random_mix(two):
  points = [two.mixture(0.3, seed) for seed in range(40)]
  random_mix = 0.3 * 0.5 + 0.7 * 26 / 40
  assert all(p['random_mix_top1'] == pytest.approx(random_mix) for p in points)
  deviations = np.array([p['deviation'] for p in points])
  assert abs(deviations.mean()) < 3 / np.sqrt(40)
  assert 0.6 < deviations.std() < 1.4


def test_a_cascade_asks_the_second_where_the_first_is_unsure(two):
  first, second = two.runners
  _, probability = first(two.images[0][:4])
  threshold = float(np.sort(probability)[1])
  predicted, passed = route.cascade(two.runners, two.images, threshold)
  alone = route.mixture(two.runners, two.images, np.full(40, True))
  better = route.mixture(two.runners, two.images, np.full(40, False))
  np.testing.assert_array_equal(predicted, np.where(passed, better, alone))
  assert 0 < passed.sum() < 40 and passed[:4].sum() == 2


def test_the_temperature_undoes_overconfidence():
  generator = np.random.default_rng(0)
  logits = generator.normal(size=(4000, 5)) * 2
  chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
  labels = np.array([generator.choice(5, p=row) for row in chances])
  assert route.best_temperature(logits, labels) == pytest.approx(1, abs=0.1)
  assert route.best_temperature(3 * logits, labels) == pytest.approx(3, abs=0.3)


def test_the_curve_goes_from_one_network_to_the_other(two):
  a, b, points = two.curve()
  assert [points[0]['top1'], points[-1]['top1']] == [a['top1'], b['top1']]
  assert points[0]['passed_on'] == 0 and points[-1]['passed_on'] == 1
  # The thresholds are chosen on the other half.
  assert a['examples'] == b['examples'] == points[0]['examples'] == 20
  shares = [point['passed_on'] for point in points]
  assert shares == sorted(shares)


def test_a_random_mix_adds_times():
  a = {'top1': 0.6, 'images_per_second': 100.0}
  b = {'top1': 0.8, 'images_per_second': 50.0}
  # Half and half: 0.015 s per image.
  assert pair.random_mix(a, b, 1 / 0.015) == pytest.approx(0.7)
  assert pair.random_mix(a, b, 10.0) == pytest.approx(0.8)
  assert pair.random_mix(a, b, 200.0) == pytest.approx(0.6)
  assert pair.random_mix(b, a, 70.0) == pytest.approx(0.6)

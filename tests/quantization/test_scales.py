"""Scales from histograms."""

import jax.numpy as jnp
import numpy as np
import pytest

from inception.errors import UserError
from inception.quantization import histogram, scales
from inception.quantization.quantize import Calibration


def test_histograms_add_up_and_keep_the_largest():
  generator = np.random.default_rng(0)
  x = generator.normal(size=4000).astype(np.float32)
  parts = [histogram.of(jnp.asarray(part)) for part in (x[:1000], x[1000:])]
  whole = histogram.of(jnp.asarray(x))
  total = histogram.total(*parts)
  np.testing.assert_allclose(total['counts'], whole['counts'])
  assert total['largest'] == np.abs(x).max()
  assert float(whole['counts'].sum()) == 4000
  # Values are in the right bins.
  below = np.asarray(whole['counts'])[histogram.CENTERS < 0.5].sum()
  assert below == pytest.approx((np.abs(x) < 0.5).sum(), rel=0.05)


def test_samples_cover_all_channels():
  x = jnp.zeros((64, 64, 64)).at[:, :, 5].set(1.0)
  counted = histogram.of(x)['counts'].sum()
  assert float(counted) == pytest.approx(2**16 / 64, rel=0.3)


def observed(values):
  return histogram.of(jnp.asarray(values, jnp.float32))


def test_the_effect_of_an_outlier():
  """One value in 20,000 is an outlier; two of the three methods clip it."""
  generator = np.random.default_rng(0)
  values = np.abs(generator.normal(size=20_000))
  values[7] = 30.0
  found = observed(values)
  assert scales.largest(found) == 30
  assert 3 < scales.percentile(found) < 5
  assert 10 < scales.least_squares(found) < 30

  def error(limit):
    scale = limit / 127
    return np.mean(
      (np.clip(np.round(values / scale), 0, 127) * scale - values) ** 2
    )

  chosen = error(scales.least_squares(found))
  assert chosen <= 1.2 * min(error(limit) for limit in np.geomspace(1, 30, 60))


def test_a_tensor_of_zeros_has_a_scale():
  assert scales.scale(observed([0.0, 0.0]), 'mse') == 1
  for name in scales.CALIBRATIONS:
    limit = scales.scale(observed([0.0, 2.0]), name) * 127
    assert limit == pytest.approx(2, rel=0.05) and limit <= 2.00001


@pytest.mark.parametrize(
  'arguments, message',
  [
    ((1, 'entropy'), 'calibration'),
    ((1, 'max', ('last',)), 'float_layers=last'),
  ],
)
def test_wrong_names_are_refused(arguments, message):
  with pytest.raises(UserError, match=message):
    Calibration(*arguments)

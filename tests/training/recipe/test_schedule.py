"""Learning rates at hand-computed steps; when periodic events are due."""

import math

import numpy as np
import pytest

from inception.config import default
from inception.errors import UserError
from inception.training.recipe import schedule as schedules

DURATION = schedules.Duration(steps=100, steps_per_epoch=10.0)


def make(batch_size=256, **fields):
  config = default.get_config().schedule
  config.update({'base_learning_rate': 0.1, 'warmup_epochs': 0.0, **fields})
  return schedules.make_schedule(config, batch_size, DURATION)


def test_warmup_is_linear_and_reaches_the_peak():
  schedule = make(name='constant', warmup_epochs=1.0)
  rates = [float(schedule(step)) for step in range(12)]
  np.testing.assert_allclose(rates[:10], 0.01 * np.arange(1, 11), rtol=1e-6)
  np.testing.assert_allclose(rates[10:], 0.1, rtol=1e-6)


def test_cosine_falls_from_the_peak_to_zero_after_the_warmup():
  schedule = make(name='cosine', warmup_epochs=2.0)
  assert float(schedule(20)) == pytest.approx(0.1)
  assert float(schedule(60)) == pytest.approx(0.05)
  assert float(schedule(40)) == pytest.approx(0.05 * (1 + math.sqrt(0.5)))
  assert float(schedule(100)) == pytest.approx(0, abs=1e-8)


def test_staircase_counts_from_the_start_with_any_warmup():
  for warmup in (0.0, 1.5):
    schedule = make(name='staircase', decay_rate=0.5, warmup_epochs=warmup)
    rates = [float(schedule(step)) for step in (19, 20, 39, 40)]
    np.testing.assert_allclose(rates, [0.1, 0.05, 0.05, 0.025], rtol=1e-6)


def test_peak_grows_with_the_batch():
  schedule = make(batch_size=1024, name='constant')
  assert float(schedule(0)) == pytest.approx(0.4)


def test_duration_in_steps_or_epochs():
  config = default.get_config()
  config.batch_size, config.num_epochs = 8, 2.5
  assert schedules.make_duration(config, 20) == schedules.Duration(6, 2.5)
  config.num_steps = 3
  assert schedules.make_duration(config, 20).steps == 3


def test_periodic_events_keep_pace_with_fractional_steps():
  duration = schedules.Duration(100, 2.4)
  due = [step for step in range(1, 13) if duration.is_due(step, 1.0)]
  assert due == [2, 5, 7, 10, 12]
  assert all(duration.is_due(step, 0.01) for step in range(1, 5))


def test_an_unknown_schedule_is_refused_with_the_known_names():
  with pytest.raises(UserError, match='cosine, staircase, constant'):
    make(name='linear')

"""Verdicts of two processes, of which this one has no more data."""

import numpy as np
import pytest

from inception import distributed
from inception.errors import UserError
from inception.training import consensus as module
from inception.training.watchdog import Watchdog


@pytest.fixture
def consensus(monkeypatch):
  """One of two processes; its ballots are the verdicts."""
  monkeypatch.setattr(distributed, 'Ballot', lambda devices: None)
  alone = module.Consensus([], [], None, Watchdog(1.0))
  monkeypatch.setattr(distributed, 'process_count', lambda: 2)
  monkeypatch.setattr(distributed, '_tell', lambda message: [message, ''])
  monkeypatch.setattr(alone, '_ballot', type('Ballot', (), {'cast': cast})())
  return alone


def cast(self, *opinions):
  return np.array(opinions)


def corrupt():
  yield 'good'
  raise UserError('corrupt')


def test_a_process_without_data_goes_on_until_all_know(consensus):
  batches = consensus.over(corrupt(), lambda: 'empty')
  assert next(batches) == 'good' and not consensus.decide().failed
  assert next(batches) == 'empty'
  with pytest.raises(UserError, match='corrupt'):
    consensus.decide()


def test_a_failed_evaluation_does_not_end_training(consensus):
  training = consensus.over(iter(['first', 'second']), lambda: 'empty')
  next(training)
  with pytest.raises(UserError, match='corrupt'):
    list(consensus.over_evaluation(corrupt(), lambda: 'empty'))
  assert next(training) == 'second' and not consensus.decide().failed

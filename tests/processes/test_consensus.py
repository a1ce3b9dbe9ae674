"""Verdicts of two processes, when this one has run out of data."""

from types import SimpleNamespace

import numpy as np
import pytest

from inception.data.corrupt import KnownCorrupt
from inception.errors import UserError
from inception.processes import consensus as module
from inception.processes import distributed
from inception.processes.watchdog import Watchdog


@pytest.fixture
def consensus(monkeypatch):
  """One of two processes; its votes decide."""
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


def test_a_process_without_data_continues_until_all_know(consensus):
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


def test_processes_count_corrupt_images_together(consensus, monkeypatch):
  """Each process has found one; two of four are too many."""
  source = SimpleNamespace(name='s', num_examples=4, describe=str)
  known = KnownCorrupt(source, 0.25)
  monkeypatch.setattr(distributed, '_tell', lambda message: [message, '[3]'])
  batches = consensus.over(iter(['a', 'b', 'c']), lambda: 'empty', known)
  next(batches)
  assert not consensus.decide().corrupt
  known.add(1, 'it is blue')
  next(batches)
  with pytest.raises(UserError, match='2 of 4 images.*data.max_broken=0.25'):
    consensus.decide()
  # Images are announced once, and the same image counts once.
  next(batches)
  assert not consensus.decide().corrupt
  assert KnownCorrupt(source, 0.25).learn([3, 3]) is None

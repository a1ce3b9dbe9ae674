"""A profile contains the requested steps."""

import collections
import gzip
import json

import pytest

from inception.errors import UserError
from inception.observing import profiling
from inception.training import loop
from tests.runs import ONE


def recorded_steps(workdir):
  """Returns how often each step occurs in the trace."""
  (file,) = (workdir / 'profile').rglob('*.trace.json.gz')
  events = json.loads(gzip.decompress(file.read_bytes()))['traceEvents']
  return collections.Counter(
    int(event['args']['step_num'])
    for event in events
    if event.get('name') == 'step' and 'step_num' in event.get('args', {})
  )


def test_the_steps_are_recorded(config, tmp_path, capsys):
  loop.train(config, tmp_path, ONE, profile_steps=range(3, 5))
  assert recorded_steps(tmp_path).keys() == {3, 4}
  assert 'tensorboard --logdir' in capsys.readouterr().out


def test_a_run_that_ends_early_still_writes_its_profile(config, tmp_path):
  loop.train(config, tmp_path, ONE, stop_at_step=3, profile_steps=range(2, 100))
  assert recorded_steps(tmp_path).keys() == {2, 3}


def test_steps_that_are_not_reached_are_reported(config, tmp_path, capsys):
  loop.train(config, tmp_path, ONE, stop_at_step=1, profile_steps=range(10, 16))
  assert 'no profile was written: the run took none of the steps 10' in (
    capsys.readouterr().err
  )
  assert not (tmp_path / 'profile').exists()


@pytest.mark.parametrize('text', ['10', '5:3', '0:4', 'a:b', '1:2:3', ''])
def test_wrong_steps_are_refused(text):
  with pytest.raises(UserError, match='--profile_steps='):
    profiling.parse_steps(text)
  assert profiling.parse_steps('10:15') == range(10, 16)

"""A short version of `python -m tests.chaos`."""

import pytest

from tests.chaos import configs, damage, kills
from tests.chaos.children import make_context


@pytest.fixture(scope='module')
def context():
  return make_context()


def test_killed_runs_end_in_the_bits_of_the_unbroken_one(context, tmp_path):
  counts = kills.run(context, tmp_path, kills=2, seed=1, processes=1)
  assert counts['kills'] == 2


def test_damaged_files_give_a_line_or_the_right_numbers(tmp_path):
  assert damage.run(tmp_path, cases=3, seed=1)['cases'] == 3


def test_odd_configs_are_refused_or_run(context, tmp_path):
  assert configs.run(context, tmp_path, count=4, seed=1)['values'] == 4

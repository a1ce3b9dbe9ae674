"""A short version of `python -m tests.chaos`."""

import os

import pytest

from tests.chaos import configs, damage, disks, kills
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


@pytest.mark.skipif(os.geteuid() != 0, reason='mounts a disk')
def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path):
  assert disks.run(tmp_path, ['512k'])['statuses'] == {'512k': 2}

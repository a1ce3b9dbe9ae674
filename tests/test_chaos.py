"""A short version of `python -m tests.chaos`."""

import os

import pytest

from tests.chaos import configs, damage, disks, kills

pytestmark = pytest.mark.usefixtures('python')


@pytest.mark.slow
def test_killed_runs_end_bit_identical_to_the_unbroken_one(tmp_path):
  counts = kills.run(tmp_path, kills=2, seed=1, count=1)
  assert counts['kills'] == 2


@pytest.mark.slow
def test_damaged_files_give_a_line_or_the_right_numbers(tmp_path):
  assert damage.run(tmp_path, cases=3, seed=1)['cases'] == 3


@pytest.mark.slow
def test_odd_configs_are_refused_or_run(tmp_path):
  assert configs.run(tmp_path, count=4, seed=1)['values'] == 4


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason='mounts a disk')
def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path):
  assert disks.run(tmp_path, ['512k'])['statuses'] == {'512k': 2}

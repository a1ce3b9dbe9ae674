"""The metrics file: checksums, damaged lines, rows of later steps."""

import json
import math

import pytest

from inception import paths
from inception.errors import UserError
from inception.observing import metrics


@pytest.fixture
def workdir(tmp_path):
  rows = [
    {'step': step, 'split': 'train', 'loss': step / 10, 'time': 0.5}
    for step in (1, 2, 3)
  ]
  content = b''.join(map(metrics.format_row, rows))
  (tmp_path / metrics.METRICS_FILE).write_bytes(content)
  return paths.resolve(tmp_path)


def steps_after(workdir, step):
  file, rows = metrics.open_after(workdir, step)
  file.close()
  assert list(rows) == list(metrics.read_rows(workdir))
  return [row['step'] for row in rows]


def test_a_row_is_one_line_of_json(workdir):
  lines = (workdir / metrics.METRICS_FILE).read_text().splitlines()
  first = json.loads(lines[0])
  assert first.pop('crc32') > 0
  assert first == {'step': 1, 'split': 'train', 'loss': 0.1, 'time': 0.5}


def test_rows_of_later_steps_are_deleted(workdir):
  assert steps_after(workdir, 2) == [1, 2]
  assert steps_after(workdir, 5) == [1, 2]


@pytest.mark.parametrize(
  'old, new',
  [
    (b'"loss": 0.3', b'"loss": 0.7'),
    (b'"step": 3', b'"step": x'),
    (b'0.3, "time": 0.5, "crc32"', b'0.3, "time": 0.5, "crc3r"'),
    (b'{"step": 3, "split": "train"', b'\xff\xfe\x00{'),
  ],
)
def test_a_damaged_line_is_reported_and_skipped(workdir, capsys, old, new):
  path = workdir / metrics.METRICS_FILE
  path.write_bytes(path.read_bytes().replace(old, new))
  assert steps_after(workdir, 5) == [1, 2]
  assert 'line 3 of ' in capsys.readouterr().err


def test_a_truncated_line_is_skipped(workdir):
  path = workdir / metrics.METRICS_FILE
  path.write_bytes(path.read_bytes()[:-20])
  assert steps_after(workdir, 5) == [1, 2]


def test_rows_of_version_0_2_have_no_checksum(workdir):
  path = workdir / metrics.METRICS_FILE
  path.write_text('{"step": 1, "split": "train", "loss": 0.5}\n')
  assert steps_after(workdir, 1) == [1]


def test_a_folder_in_place_of_the_file_is_reported(tmp_path):
  (tmp_path / metrics.METRICS_FILE).mkdir()
  for read in (metrics.read_rows, lambda w: metrics.open_after(w, 1)):
    with pytest.raises(UserError, match='metrics.jsonl: Is a directory'):
      read(paths.resolve(tmp_path))


def test_a_number_that_is_not_finite_is_null_and_read_as_nan(tmp_path):
  row = {'step': 1, 'split': 'val', 'loss': math.inf, 'top1': 0.5, 'time': 0.0}
  line = metrics.format_row(row)
  assert json.loads(line)['loss'] is None
  (tmp_path / metrics.METRICS_FILE).write_bytes(line)
  (read,) = metrics.read_rows(paths.resolve(tmp_path))
  assert math.isnan(read['loss']) and read['top1'] == 0.5


def test_a_line_of_many_brackets_counts_as_damaged(tmp_path, capsys):
  good = metrics.format_row({'step': 1, 'split': 'val', 'time': 0.0})
  path = tmp_path / metrics.METRICS_FILE
  path.write_bytes(b'[' * 100_000 + b'\n' + good)
  assert len(metrics.read_rows(paths.resolve(tmp_path))) == 1
  assert 'line 1 of' in capsys.readouterr().err

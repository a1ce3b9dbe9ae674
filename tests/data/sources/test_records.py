"""Random access to TFRecord files, whole, sliced and damaged."""

import os

import pytest

from inception.data.sources import records
from inception.data.sources.source import DamagedError
from inception.data.tensorflow import tf
from inception.errors import UserError


def write(path, contents):
  with tf.io.TFRecordWriter(str(path)) as writer:
    for content in contents:
      writer.write(content)
  return str(path)


def flip(path, position):
  content = bytearray(path.read_bytes())
  content[position] ^= 1
  path.write_bytes(bytes(content))


def test_records_of_several_files_with_skips(tmp_path):
  files = [
    write(tmp_path / name, [f'{name}{i}'.encode() * (i + 1) for i in range(5)])
    for name in 'ab'
  ]
  index = records.index_records(
    [
      records.FileSlice(files[0], 3, 2, 5),
      records.FileSlice(files[1], 0, 1, 5),
    ]
  )
  assert [index.read(i) for i in range(len(index))] == [
    b'a3' * 4,
    b'a4' * 5,
    b'b0',
  ]
  assert index.describe(2).startswith(files[1])


@pytest.mark.parametrize('cut', [1, 10, 25])
def test_a_truncated_file_is_reported(tmp_path, cut):
  path = tmp_path / 'data.tfrecord'
  write(path, [b'0123456789'] * 3)
  path.write_bytes(path.read_bytes()[:-cut])
  with pytest.raises(UserError, match='data.tfrecord .*truncated'):
    records.index_records([records.FileSlice(str(path), 0, 3, 3)])


def test_a_missing_file_is_reported(tmp_path):
  part = records.FileSlice(str(tmp_path / 'gone'), 0, 1, 1)
  with pytest.raises(UserError, match='cannot read .*gone'):
    records.index_records([part])


def test_a_pipe_in_place_of_a_file_is_refused_at_once(tmp_path):
  path = tmp_path / 'pipe'
  os.mkfifo(path)
  with pytest.raises(UserError, match='pipe: it is not a regular file'):
    records.index_records([records.FileSlice(str(path), 0, 1, 1)], 60.0)


def test_every_flipped_bit_is_detected(tmp_path):
  """Including bits of the lengths and of the checksums themselves."""
  path = tmp_path / 'data.tfrecord'
  contents = [b'label 3', b'label 4']
  write(path, contents)
  for position in range(path.stat().st_size):
    flip(path, position)
    with pytest.raises((UserError, DamagedError)):
      index = records.index_records([records.FileSlice(str(path), 0, 2, 2)])
      assert [index.read(i) for i in range(2)] != contents
    flip(path, position)


@pytest.mark.parametrize('total', [1, 3])
def test_a_number_of_records_unlike_the_metadata_is_refused(tmp_path, total):
  path = write(tmp_path / 'data.tfrecord', [b'a', b'b'])
  with pytest.raises(UserError, match=f'2 records.* {total}'):
    records.index_records([records.FileSlice(path, 0, 1, total)])

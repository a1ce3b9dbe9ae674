"""Random access to TFRecord files, whole, sliced and damaged."""

import pytest

from inception.data.sources import records
from inception.data.tensorflow import tf
from inception.errors import UserError


def test_records_of_several_files_with_skips(tmp_path):
  paths = []
  for name in 'ab':
    path = str(tmp_path / name)
    with tf.io.TFRecordWriter(path) as writer:
      for i in range(5):
        writer.write(f'{name}{i}'.encode() * (i + 1))
    paths.append(path)
  index = records.index_records(
    [
      records.FileSlice(paths[0], 3, 2),
      records.FileSlice(paths[1], 0, 1),
    ]
  )
  assert [index.read(i) for i in range(len(index))] == [
    b'a3' * 4,
    b'a4' * 5,
    b'b0',
  ]
  assert index.describe(2).startswith(paths[1])


@pytest.mark.parametrize('cut', [1, 10, 25])
def test_a_truncated_file_is_named(tmp_path, cut):
  path = tmp_path / 'data.tfrecord'
  with tf.io.TFRecordWriter(str(path)) as writer:
    for _ in range(3):
      writer.write(b'0123456789')
  path.write_bytes(path.read_bytes()[:-cut])
  with pytest.raises(UserError, match='data.tfrecord is damaged or truncated'):
    records.index_records([records.FileSlice(str(path), 0, 3)])


def test_a_missing_file_is_named(tmp_path):
  with pytest.raises(UserError, match='cannot read .*gone'):
    records.index_records([records.FileSlice(str(tmp_path / 'gone'), 0, 1)])

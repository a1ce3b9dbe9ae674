"""Random access to TFRecord files: where each record is, and reading one.

TFDS stores its data sets as TFRecords, which can only be read front to back.
One pass over the length that precedes each record finds them all; after that,
reading any record is a single call. This is what makes order, sharding and
resuming exact.
"""

from collections.abc import Sequence
import concurrent.futures
import dataclasses
import os
import struct

import numpy as np

from inception.errors import UserError

# A record: length (8 bytes), its checksum (4), data, checksum of the data (4).
_HEADER = struct.Struct('<QI')
_FOOTER_BYTES = 4


@dataclasses.dataclass(frozen=True)
class FileSlice:
  """Records `[first, first + count)` of a file."""

  path: str
  first: int
  count: int


@dataclasses.dataclass(frozen=True)
class RecordIndex:
  """Position of every record.

  Attributes:
    paths: The files.
    files: int32 [records], index into `paths`.
    offsets: int64 [records], first byte of the data in its file.
    lengths: int64 [records], length of the data in bytes.
  """

  paths: tuple[str, ...]
  files: np.ndarray
  offsets: np.ndarray
  lengths: np.ndarray

  def __len__(self) -> int:
    return len(self.files)

  def read(self, index: int) -> bytes:
    """Returns the data of one record. Thread-safe."""
    with open(self.paths[self.files[index]], 'rb', buffering=0) as file:
      return os.pread(
        file.fileno(), int(self.lengths[index]), int(self.offsets[index])
      )

  def describe(self, index: int) -> str:
    """Returns the file and position of a record, for messages."""
    return f'{self.paths[self.files[index]]} at byte {self.offsets[index]}'


def index_records(slices: Sequence[FileSlice]) -> RecordIndex:
  """Finds the records of several files.

  Raises:
    UserError: A file cannot be read or ends within a record; names it.
  """
  with concurrent.futures.ThreadPoolExecutor(16) as threads:
    spans = list(threads.map(_find, slices))
  counts = [len(span) for span in spans]
  joined = np.concatenate(spans) if spans else np.zeros((0, 2), np.int64)
  return RecordIndex(
    paths=tuple(part.path for part in slices),
    files=np.repeat(np.arange(len(slices), dtype=np.int32), counts),
    offsets=joined[:, 0],
    lengths=joined[:, 1],
  )


def _find(part: FileSlice) -> np.ndarray:
  """Returns int64 [records, 2]: offset and length of each record."""
  end = part.first + part.count
  spans: list[tuple[int, int]] = []
  try:
    size = os.path.getsize(part.path)
    with open(part.path, 'rb', buffering=0) as file:
      position = 0
      while position < size and len(spans) < end:
        header = os.pread(file.fileno(), _HEADER.size, position)
        if len(header) < _HEADER.size:
          raise _damaged(part.path)
        length, _ = _HEADER.unpack(header)
        spans.append((position + _HEADER.size, length))
        position += _HEADER.size + length + _FOOTER_BYTES
        if position > size:
          raise _damaged(part.path)
  except OSError as error:
    raise UserError(f'cannot read {part.path}: {error.strerror}') from error
  if len(spans) < end:
    raise _damaged(part.path)
  return np.array(spans[part.first :], np.int64).reshape(-1, 2)


def _damaged(path: str) -> UserError:
  return UserError(
    f'{path} is damaged or truncated; prepare the data set again'
  )

"""Random access to the records in TFRecord files.

TFDS stores its data sets as TFRecords, which can only be read front to back.
One pass over the record headers builds an index; after that, reading any record
is a single call. This makes order, sharding and resuming exact. Both checksums
of a record are verified: that of its length by the pass, that of its data when
it is read.
"""

from collections.abc import Sequence
import concurrent.futures
import dataclasses
import functools
import os
import struct

import google_crc32c
import numpy as np

from inception import paths
from inception.data.sources.source import DamagedError
from inception.errors import UserError, count
from inception.files.retry import PERMANENT, retry

# A record: length (8 bytes), its checksum (4), data, checksum of the data (4).
_HEADER = struct.Struct('<QI')
_FOOTER = struct.Struct('<I')


@dataclasses.dataclass(frozen=True)
class FileSlice:
  """Records `[first, first + count)` of a file that holds `total` records."""

  path: str
  first: int
  count: int
  total: int


@dataclasses.dataclass(frozen=True)
class RecordIndex:
  """Position of every record.

  Attributes:
    paths: The files.
    files: int32 [records], index into `paths`.
    offsets: int64 [records], first byte of the data in its file.
    lengths: int64 [records], length of the data in bytes.
    checksums: int64 [records], masked CRC32C of the data.
  """

  paths: tuple[str, ...]
  files: np.ndarray
  offsets: np.ndarray
  lengths: np.ndarray
  checksums: np.ndarray

  def __len__(self) -> int:
    return len(self.files)

  def read(self, index: int) -> bytes:
    """Returns the data of one record. Thread-safe.

    Raises:
      DamagedError: The data does not match its checksum.
      OSError: The file cannot be read.
    """
    with open(self.paths[self.files[index]], 'rb', buffering=0) as file:
      data = os.pread(
        file.fileno(), int(self.lengths[index]), int(self.offsets[index])
      )
    if masked_crc32c(data) != self.checksums[index]:
      raise DamagedError('it does not match its checksum')
    return data

  def describe(self, index: int) -> str:
    """Returns the file and position of a record, for messages."""
    return f'{self.paths[self.files[index]]} at byte {self.offsets[index]}'


def masked_crc32c(data: bytes) -> int:
  """Returns the checksum that TFRecords store."""
  crc = google_crc32c.value(data)
  return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def index_records(
  slices: Sequence[FileSlice], retry_seconds: float = 0.0
) -> RecordIndex:
  """Finds the records of several files.

  Args:
    slices: Which records to find.
    retry_seconds: How long to retry reading a file.

  Raises:
    UserError: A file cannot be read, is damaged, or holds the wrong number of
      records; names it.
  """
  with concurrent.futures.ThreadPoolExecutor(16) as threads:
    found = list(
      threads.map(
        lambda part: retry(
          functools.partial(_find, part), part.path, retry_seconds, PERMANENT
        ),
        slices,
      )
    )
  joined = np.concatenate(found) if found else np.zeros((0, 3), np.int64)
  return RecordIndex(
    paths=tuple(part.path for part in slices),
    files=np.repeat(
      np.arange(len(slices), dtype=np.int32), [len(rows) for rows in found]
    ),
    offsets=joined[:, 0],
    lengths=joined[:, 1],
    checksums=joined[:, 2],
  )


def _find(part: FileSlice) -> np.ndarray:
  """Returns int64 [records, 3]: offset, length and checksum of each record."""
  rows: list[tuple[int, int, int]] = []
  with paths.open_file(part.path) as file:
    descriptor, size = file.fileno(), os.path.getsize(part.path)
    header, position = os.pread(descriptor, _HEADER.size, 0), 0
    while position < size:
      begin, length = position + _HEADER.size, _length(header, part.path)
      position = begin + length + _FOOTER.size
      if position > size:
        raise _damaged(part.path)
      # One call reads this record's footer and the next one's header.
      both = os.pread(descriptor, _FOOTER.size + _HEADER.size, begin + length)
      rows.append((begin, length, *_FOOTER.unpack(both[: _FOOTER.size])))
      header = both[_FOOTER.size :]
  if len(rows) != part.total:
    raise UserError(
      f'{part.path} holds {count(len(rows), "record")}, but dataset_info.json'
      f' says {part.total}; prepare the data set again'
    )
  chosen = rows[part.first : part.first + part.count]
  return np.array(chosen, np.int64).reshape(-1, 3)


def _length(header: bytes, path: str) -> int:
  if len(header) < _HEADER.size:
    raise _damaged(path)
  length, checksum = _HEADER.unpack(header)
  if masked_crc32c(header[:8]) != checksum:
    raise _damaged(path)
  return length


def _damaged(path: str) -> UserError:
  return UserError(
    f'{path} is damaged or truncated; prepare the data set again'
  )

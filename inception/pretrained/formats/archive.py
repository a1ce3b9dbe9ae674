"""Reads parts of files after checking the sizes in their headers."""

import os
from typing import Any, BinaryIO
import zipfile

import numpy as np

# Weights do not compress by more than this factor.
_LARGEST_RATIO = 100


def size_of(file: BinaryIO) -> int:
  """Returns the size of an open file in bytes."""
  return os.fstat(file.fileno()).st_size


def read(members: zipfile.ZipFile, name: str) -> bytes:
  """Returns a member of a zip archive.

  Raises:
    ValueError: It would be far larger than its compressed bytes.
    KeyError: There is no such member.
    zipfile.BadZipFile: It is damaged.
  """
  info = members.getinfo(name)
  _check(name, info.file_size, info.compress_size)
  return members.read(info)


def read_dataset(dataset: Any) -> np.ndarray:
  """Returns a data set of an HDF5 file as an array of numbers.

  Raises:
    ValueError: It is not numeric, or would be far larger than its stored bytes.
  """
  kind = getattr(getattr(dataset, 'dtype', None), 'kind', '')
  if kind not in set('fiub'):
    raise ValueError(f'{dataset.name} is not an array of numbers')
  _check(dataset.name, dataset.nbytes, dataset.id.get_storage_size())
  return np.asarray(dataset[()])


def _check(name: str, claimed: int, held: int) -> None:
  if claimed > _LARGEST_RATIO * held:
    raise ValueError(
      f'{name} claims {claimed:,} bytes, but the file holds only {held:,}'
    )

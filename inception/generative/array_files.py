"""Arrays in .npy and .npz files, read a part at a time."""

from collections.abc import Iterator
import contextlib
from typing import Any, BinaryIO
import zipfile
import zlib

import numpy as np

from inception import paths
from inception.errors import UserError, reason

_SUFFIX = '.npy'

# Also of damaged, encrypted and unusually compressed archives.
_UNREADABLE = (
  OSError,
  EOFError,
  NotImplementedError,
  RuntimeError,
  zipfile.BadZipFile,
  zlib.error,
)


def keys(path: paths.Path) -> list[str]:
  """Returns the names of the arrays in an .npz file.

  Raises:
    UserError: It cannot be read.
  """
  try:
    with zipfile.ZipFile(path) as archive:
      return [name.removesuffix(_SUFFIX) for name in archive.namelist()]
  except _UNREADABLE as error:
    raise UserError(f'cannot read {path}: {reason(error)}') from error


class ArrayFile:
  """An array in a file, read in order.

  Attributes:
    shape: Shape of the array.
    dtype: Its dtype.
  """

  def __init__(self, path: paths.Path):
    """Reads the shape.

    Args:
      path: An .npy file, or an .npz file with one array or with `arr_0`.

    Raises:
      UserError: It cannot be read, or holds several arrays.
    """
    self._path = path
    with self._open() as file:
      self.shape, self.dtype = self._header(file)

  def rows(self, at_a_time: int) -> Iterator[np.ndarray]:
    """Yields parts of the first axis.

    Raises:
      UserError: The file ends too early, or is damaged.
    """
    row_bytes = int(np.prod(self.shape[1:])) * self.dtype.itemsize
    with self._open() as file:
      self._header(file)
      for start in range(0, self.shape[0], at_a_time):
        count = min(at_a_time, self.shape[0] - start)
        content = self._read(file, count * row_bytes)
        part = np.frombuffer(content, self.dtype)
        yield part.reshape(count, *self.shape[1:])

  def _read(self, file: BinaryIO, size: int) -> bytes:
    try:
      content = file.read(size)
    except _UNREADABLE as error:
      raise UserError(f'{self._path} is damaged: {reason(error)}') from error
    if len(content) < size:
      raise UserError(f'{self._path} is cut off; copy it again')
    return content

  def _header(self, file: BinaryIO) -> tuple[tuple[int, ...], np.dtype]:
    """Reads the header; leaves the file at the first element."""
    try:
      major, _ = np.lib.format.read_magic(file)
      if major > 2:
        raise ValueError(f'version {major} of .npy is for names of fields')
      read = {
        1: np.lib.format.read_array_header_1_0,
        2: np.lib.format.read_array_header_2_0,
      }[major]
      shape, is_fortran, dtype = read(file)
    except (ValueError, *_UNREADABLE) as error:
      raise UserError(f'cannot read {self._path}: {reason(error)}') from error
    if is_fortran or dtype.hasobject:
      raise UserError(
        f'{self._path} is not a plain array in C order; save'
        ' np.ascontiguousarray(images)'
      )
    return shape, dtype

  @contextlib.contextmanager
  def _open(self) -> Iterator[Any]:
    try:
      if self._path.suffix.lower() == _SUFFIX:
        with paths.open_file(self._path) as file:
          yield file
        return
      with (
        zipfile.ZipFile(self._path) as archive,
        archive.open(self._member(archive.namelist())) as member,
      ):
        yield member
    except _UNREADABLE as error:
      raise UserError(f'cannot read {self._path}: {reason(error)}') from error

  def _member(self, names: list[str]) -> str:
    if f'arr_0{_SUFFIX}' in names:
      return f'arr_0{_SUFFIX}'
    if len(names) != 1:
      raise UserError(
        f'{self._path} holds {len(names)} arrays; store the images as arr_0'
      )
    return names[0]

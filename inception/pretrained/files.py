"""Weights files of other projects as named arrays; no code in them runs.

The format is found from the content of a file, not from its name.
"""

from collections.abc import Callable
import dataclasses
import hashlib
import json
import os
import re
import struct
from typing import Any
import zipfile

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from inception import paths
from inception.data.tensorflow import tf
from inception.errors import UserError
from inception.pretrained import keras_file, torch_file

Arrays = dict[str, np.ndarray]

_SUPPORTED = (
  'a TensorFlow checkpoint, .h5 or .keras of Keras, .pth or .pt of PyTorch, or'
  ' .safetensors'
)

# A TensorFlow checkpoint is several files; its name is their common prefix.
_CHECKPOINT_INDEX = '.index'

_DATA_FILE = re.compile(r'\.data-\d{5}-of-\d{5}$')

_HDF5 = b'\x89HDF\r\n\x1a\n'
_ZIP = b'PK\x03\x04'
_PICKLE = b'\x80'
# The last bytes of a TensorFlow checkpoint in version 1 of its format.
_TABLE = (0xDB4775248B80FB57).to_bytes(8, 'little')


@dataclasses.dataclass(frozen=True)
class Format:
  """A format of weights files.

  Attributes:
    name: What wrote it, for messages.
    projects: Names in `PROJECTS` whose weights come in it, the likeliest first.
    read: Returns the arrays of a file by name.
  """

  name: str
  projects: tuple[str, ...]
  read: Callable[[paths.Path], Arrays]


def read_arrays(path: paths.Path) -> tuple[Arrays, Format]:
  """Reads all arrays of a weights file.

  Args:
    path: The file. A TensorFlow checkpoint is named by its prefix, or by its
      index or data file.

  Returns:
    Arrays by their names in the file; in Keras's files, by
    `<layer>/<index in the layer>`. And the file's format.

  Raises:
    UserError: The file does not exist, is of another kind, or is damaged.
  """
  path = _checkpoint_prefix(path)
  file_format = _find_format(path)
  try:
    return file_format.read(path), file_format
  except (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    IndexError,
    NotImplementedError,
    SafetensorError,
    zipfile.BadZipFile,
    tf.errors.OpError,
  ) as error:
    reason = str(error).split('\n')[0][:200]
    raise UserError(
      f'cannot read {path}, which seems to be of {file_format.name}: {reason}'
    ) from error


def sha256(path: paths.Path) -> str:
  """Returns the SHA-256 of a weights file.

  Args:
    path: As in `read_arrays`; all files of a TensorFlow checkpoint count.
  """
  path = _checkpoint_prefix(path)
  paths = [path]
  if _index_file(path).exists():
    data = sorted(path.parent.glob(f'{path.name}.data-*'))
    paths = [_index_file(path), *data]
  digest = hashlib.sha256()
  for part in paths:
    with part.open('rb') as file:
      hashlib.file_digest(file, lambda: digest)  # Updates `digest`.
  return digest.hexdigest()


def _find_format(path: paths.Path) -> Format:
  """Finds the format from the content of a file.

  Raises:
    UserError: The file does not exist, or is something else; says what.
  """
  if _index_file(path).exists():
    return _CHECKPOINT
  if path.is_dir():
    raise _of_folder(path)
  try:
    with path.open('rb') as file:
      head = file.read(512)
      file.seek(max(0, os.path.getsize(path) - len(_TABLE)))
      tail = file.read()
  except OSError as error:
    raise UserError(f'cannot read {path}: {error.strerror}') from error
  if head.startswith(_HDF5):
    return _KERAS
  if head.startswith(_ZIP):
    return _of_archive(path)
  if head.startswith(_PICKLE):
    return _TORCH
  if tail == _TABLE:
    return _CHECKPOINT
  if len(head) > 8 and head[8:9] == b'{' and _is_length(head[:8], path):
    return _SAFETENSORS
  raise UserError(f'{path} {_why_no_weights(head)}')


def _is_length(head: bytes, path: paths.Path) -> bool:
  (length,) = struct.unpack('<Q', head)
  return 8 + int(length) <= os.path.getsize(path)


def _of_archive(path: paths.Path) -> Format:
  try:
    with zipfile.ZipFile(path) as archive:
      names = archive.namelist()
  except zipfile.BadZipFile as error:
    raise UserError(
      f'{path} is damaged or incomplete: it begins as a .pth or .keras file'
      ' does, but has no end; get it again'
    ) from error
  if 'model.weights.h5' in names:
    return _KERAS_ARCHIVE
  if any(name.endswith('/data.pkl') for name in names):
    return _TORCH
  raise UserError(f'{path} is a zip archive without weights; give {_SUPPORTED}')


def _of_folder(path: paths.Path) -> UserError:
  if (path / 'saved_model.pb').exists():
    return UserError(
      f'{path} is a SavedModel, which does not tell the order of its layers;'
      ' load it in Keras and save it as .keras'
    )
  checkpoints = sorted(path.glob(f'*{_CHECKPOINT_INDEX}'))
  hint = (
    f'try --file={checkpoints[-1]}' if checkpoints else f'give {_SUPPORTED}'
  )
  return UserError(f'{path} is a folder; {hint}')


def _why_no_weights(head: bytes) -> str:
  """Returns what a file is that has no known format, as the end of a line."""
  text = head.lstrip().lower()
  if not head:
    return 'is empty; get it again'
  if text.startswith((b'<!doctype', b'<html', b'<?xml')):
    return 'is a web page, not weights: the download has failed; get it again'
  if text.startswith(b'version https://git-lfs'):
    return 'is a placeholder of Git LFS; run git lfs pull'
  if text.startswith(b'{') and _is_json(head):
    return f'is JSON, not weights; give {_SUPPORTED}'
  return f'is no weights file; give {_SUPPORTED}'


def _is_json(head: bytes) -> bool:
  try:
    json.loads(head)
  except ValueError:
    return b'":' in head
  return True


def _checkpoint_prefix(path: paths.Path) -> paths.Path:
  """Returns a TensorFlow checkpoint's name for its index or data file."""
  name = path.name.removesuffix(_CHECKPOINT_INDEX)
  return path.with_name(_DATA_FILE.sub('', name))


def _index_file(path: paths.Path) -> paths.Path:
  return path.with_name(path.name + _CHECKPOINT_INDEX)


def _read_checkpoint(path: paths.Path) -> Arrays:
  reader: Any = tf.train.load_checkpoint(str(path))
  return {
    name: reader.get_tensor(name)
    for name, dtype in reader.get_variable_to_dtype_map().items()
    if dtype.is_floating
  }


_PYTORCH_PROJECTS = ('torchvision', 'timm', 'fid', 'facenet')
_CHECKPOINT = Format('a TensorFlow checkpoint', ('slim',), _read_checkpoint)
_KERAS = Format('Keras', ('keras',), keras_file.read_h5)
_KERAS_ARCHIVE = Format('Keras', ('keras',), keras_file.read_archive)
_TORCH = Format('PyTorch', _PYTORCH_PROJECTS, torch_file.read_torch)
_SAFETENSORS = Format(
  'safetensors', ('timm', 'torchvision', 'fid', 'facenet'), load_file
)

"""Detects the format of a weights file from its content."""

from collections.abc import Callable
import dataclasses
import re
from typing import Any, BinaryIO
import zipfile

import numpy as np
from safetensors import safe_open

from inception import paths
from inception.errors import UserError
from inception.pretrained.formats import (
  archive,
  array_pickle,
  keras_file,
  torch_file,
)
from inception.pretrained.formats.content import Content

_SUPPORTED = (
  'a TensorFlow checkpoint, a .h5 or .keras file of Keras, a .pth or .pt file'
  ' of PyTorch, or a .safetensors file'
)

# A TensorFlow checkpoint is several files; its name is their common prefix.
_CHECKPOINT_INDEX = '.index'

_DATA_FILE = re.compile(r'\.data-\d{5}-of-\d{5}$')

_HDF5 = b'\x89HDF\r\n\x1a\n'
_ZIP = b'PK\x03\x04'
_PICKLE = b'\x80'
# The first value in a file of PyTorch before 1.6.
_TORCH_MAGIC = b'\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.'
_FIRST_NODE = b'\n'  # Of a TensorFlow graph.
# The last bytes of a TensorFlow checkpoint in format version 1.
_TABLE = (0xDB4775248B80FB57).to_bytes(8, 'little')


@dataclasses.dataclass(frozen=True)
class Format:
  """A format of weights files.

  Attributes:
    name: Name of the format in messages.
    projects: Names in `PROJECTS` that use this format, the likeliest first.
    read: Reads an open file, given the copy of the weights to use.
  """

  name: str
  projects: tuple[str, ...]
  read: Callable[[BinaryIO, str | None], Content]


def find_format(path: paths.Path) -> Format:
  """Returns the format of a weights file, detected from its content.

  Raises:
    UserError: The file does not exist or holds no weights; says what it is.
  """
  if _index_file(path).exists():
    return _CHECKPOINT
  if path.is_dir():
    raise _of_folder(path)
  try:
    with paths.open_file(path) as file:
      size = archive.size_of(file)
      head = file.read(512)
      file.seek(max(0, size - len(_TABLE)))
      tail = file.read(len(_TABLE))
  except OSError as error:
    raise UserError(f'cannot read {path}: {error.strerror}') from error
  if head.startswith(_HDF5):
    return _KERAS
  if head.startswith(_ZIP):
    return _of_archive(path)
  if head.startswith(_PICKLE):
    is_torch = _TORCH_MAGIC in head[:16] or b'numpy' not in head
    return _TORCH if is_torch else _ARRAYS
  if tail == _TABLE:
    return _CHECKPOINT
  # The length of a JSON header, then the header.
  if head[8:9] == b'{' and 8 + int.from_bytes(head[:8], 'little') <= size:
    return _SAFETENSORS
  if path.suffix == '.pb' and head.startswith(_FIRST_NODE):
    return _GRAPH
  raise UserError(f'{path} {_why_no_weights(head)}')


def _of_archive(path: paths.Path) -> Format:
  try:
    with zipfile.ZipFile(path) as members:
      names = members.namelist()
  except zipfile.BadZipFile as error:
    raise UserError(
      f'{path} is damaged or incomplete: it begins like a .pth or .keras'
      ' file but is cut off; download it again'
    ) from error
  if 'model.weights.h5' in names:
    return _KERAS_ARCHIVE
  if any(name.endswith('/data.pkl') for name in names):
    return _TORCH
  raise UserError(f'{path} is a zip archive without weights; give {_SUPPORTED}')


def _of_folder(path: paths.Path) -> UserError:
  if (path / 'saved_model.pb').exists():
    return UserError(
      f'{path} is a SavedModel, which does not store the order of layers;'
      ' load it in Keras and save it as .keras'
    )
  checkpoints = [
    entry
    for entry in paths.entries(path)
    if entry.name.endswith(_CHECKPOINT_INDEX)
  ]
  hint = (
    f'try --file={checkpoints[-1]}' if checkpoints else f'give {_SUPPORTED}'
  )
  return UserError(f'{path} is a folder; {hint}')


def _why_no_weights(head: bytes) -> str:
  """Describes a file of unknown format, as the end of a message."""
  text = head.lstrip().lower()
  if not head:
    return 'is empty; download it again'
  if text.startswith((b'<!doctype', b'<html', b'<?xml')):
    return 'is a web page, not weights: the download failed; try again'
  if text.startswith(b'version https://git-lfs'):
    return 'is a Git LFS pointer; run git lfs pull'
  if re.match(rb'{\s*["}]', text):
    return f'is JSON, not weights; give {_SUPPORTED}'
  return f'is not a weights file; give {_SUPPORTED}'


def checkpoint_prefix(path: paths.Path) -> paths.Path:
  """Returns the prefix of a checkpoint, given its index or data file."""
  name = path.name.removesuffix(_CHECKPOINT_INDEX)
  return path.with_name(_DATA_FILE.sub('', name))


def _index_file(path: paths.Path) -> paths.Path:
  return path.with_name(path.name + _CHECKPOINT_INDEX)


def parts_of(path: paths.Path) -> list[paths.Path]:
  """Returns the files of weights, the index of a checkpoint first."""
  index = _index_file(path)
  if not index.exists():
    return [path]
  data = [
    entry
    for entry in paths.entries(path.parent)
    if entry.name.startswith(f'{path.name}.data-')
  ]
  return [index, *data]


def _read_checkpoint(file: BinaryIO) -> Content:
  from inception.data.tensorflow import tf  # Slow to import.

  name = file.name.removesuffix(_CHECKPOINT_INDEX)
  reader: Any = tf.train.load_checkpoint(name)
  arrays = {
    name: reader.get_tensor(name)
    for name, dtype in reader.get_variable_to_dtype_map().items()
    if dtype.is_floating
  }
  if not arrays:
    raise ValueError('it holds no float arrays')
  return Content(arrays)


def _read_graph(file: BinaryIO) -> Content:
  """Reads the constants of a frozen TensorFlow graph."""
  from inception.data.tensorflow import tf  # Slow to import.

  graph = tf.compat.v1.GraphDef.FromString(file.read())
  constants = {
    node.name: node.attr['value'].tensor
    for node in graph.node
    if node.op == 'Const'
    and node.attr['dtype'].type == tf.float32.as_datatype_enum
  }
  arrays = {name: tf.make_ndarray(x) for name, x in constants.items()}
  if not arrays:
    raise ValueError('it holds no float constants')
  return Content(arrays)


def _read_array_pickle(file: BinaryIO) -> Content:
  """Reads nested dicts of arrays; their names are joined by dots."""
  from flax import traverse_util  # Slow to import.

  tree = traverse_util.flatten_dict(array_pickle.read_arrays(file), sep='.')
  arrays = {n: x for n, x in tree.items() if isinstance(x, np.ndarray)}
  if not arrays:
    raise ValueError('it holds no arrays')
  return Content(arrays)


def _read_safetensors(file: BinaryIO) -> Content:
  arrays = {}
  with safe_open(file.name, 'numpy') as content:
    for name in content.keys():  # noqa: SIM118, it is not a dict.
      kind = content.get_slice(name).get_dtype()
      if kind not in _SAFETENSORS_TYPES:
        raise ValueError(f'{name} is of type {kind}; save it as float32')
      arrays[name] = content.get_tensor(name)
  if not arrays:
    raise ValueError('it holds no tensors')
  return Content(arrays)


_SAFETENSORS_TYPES = frozenset(
  {'F64', 'F32', 'F16', 'BF16', 'I64', 'I32', 'I16', 'I8', 'U8', 'BOOL'}
)
_CHECKPOINT = Format(
  'a TensorFlow checkpoint', ('slim',), lambda file, _: _read_checkpoint(file)
)
_KERAS = Format('Keras', ('keras',), lambda file, _: keras_file.read_h5(file))
_KERAS_ARCHIVE = Format(
  'Keras', ('keras',), lambda file, _: keras_file.read_archive(file)
)
_TORCH = Format(
  'PyTorch', ('torchvision', 'timm', 'fid', 'facenet'), torch_file.read_torch
)
_ARRAYS = Format(
  'a pickle of arrays', ('fid',), lambda file, _: _read_array_pickle(file)
)
_GRAPH = Format(
  'a TensorFlow graph', ('fid',), lambda file, _: _read_graph(file)
)
_SAFETENSORS = Format(
  'safetensors',
  ('timm', 'torchvision', 'fid', 'facenet'),
  lambda file, _: _read_safetensors(file),
)

"""Weights files of other projects as named arrays; no code in them runs."""

import hashlib
import io
from typing import Any
import zipfile

import h5py
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from inception import paths
from inception.data.tensorflow import tf
from inception.errors import UserError
from inception.pretrained import torch_file

Arrays = dict[str, np.ndarray]

SUFFIXES = ('.ckpt', '.h5', '.keras', '.pth', '.pt', '.safetensors')

# A TensorFlow checkpoint is several files; its name is their common prefix.
_CHECKPOINT_INDEX = '.index'


def read_arrays(path: paths.Path) -> Arrays:
  """Reads all arrays of a weights file.

  Args:
    path: File with one of the `SUFFIXES`. A TensorFlow checkpoint may also have
      its step after the suffix, or be named by its index or data file.

  Returns:
    Arrays by their names in the file; in Keras's files, by
    `<layer>/<index in the layer>`.

  Raises:
    UserError: The file does not exist, is of another kind, or is damaged.
  """
  path = _checkpoint_prefix(path)
  is_checkpoint = _index_file(path).exists()
  if not is_checkpoint and not path.is_file():
    raise UserError(f'no such file: {path}')
  try:
    if is_checkpoint:
      return _read_checkpoint(path)
    match path.suffix:
      case '.ckpt':  # In version 1 of the format, a checkpoint is one file.
        return _read_checkpoint(path)
      case '.h5':
        with h5py.File(path) as file:
          return _read_keras(file)
      case '.keras':
        return _read_keras_archive(path)
      case '.pth' | '.pt':
        return torch_file.read_torch(path)
      case '.safetensors':
        return load_file(path)
  except (
    OSError,
    ValueError,
    KeyError,
    SafetensorError,
    zipfile.BadZipFile,
    tf.errors.OpError,
  ) as error:
    reason = str(error).split('\n')[0][:200]
    raise UserError(f'cannot read {path}: {reason}') from error
  raise UserError(
    f'{path} is not a weights file; supported are {", ".join(SUFFIXES)}'
  )


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


def _checkpoint_prefix(path: paths.Path) -> paths.Path:
  """Returns a TensorFlow checkpoint's name for its index or data file."""
  name = path.name.removesuffix(_CHECKPOINT_INDEX)
  return path.with_name(name.split('.data-')[0])


def _index_file(path: paths.Path) -> paths.Path:
  return path.with_name(path.name + _CHECKPOINT_INDEX)


def _read_checkpoint(path: paths.Path) -> Arrays:
  reader = tf.train.load_checkpoint(str(path))
  return {
    name: reader.get_tensor(name)
    for name, dtype in reader.get_variable_to_dtype_map().items()
    if dtype.is_floating
  }


def _read_keras_archive(path: paths.Path) -> Arrays:
  with zipfile.ZipFile(path) as archive:
    content = archive.read('model.weights.h5')
  with h5py.File(io.BytesIO(content)) as file:
    return _read_keras(file)


def _read_keras(file: h5py.File) -> Arrays:
  if 'layers' in file:
    return _read_keras3(file['layers'])
  root = file.get('model_weights', file)
  if 'layer_names' not in root.attrs:
    raise ValueError('contains neither weights nor a model of Keras')
  arrays = {}
  for layer in _names(root.attrs['layer_names']):
    for i, name in enumerate(_names(root[layer].attrs['weight_names'])):
      arrays[f'{layer}/{i}'] = root[layer][name][()]
  return arrays


def _read_keras3(layers: Any) -> Arrays:
  """Reads the format of Keras 3.

  Its groups are numbered per kind, in another order than the layers were
  created; the layers' own names are attributes beside the variables.
  """
  arrays = {}
  for group in layers.values():
    variables = group.get('vars', {})
    if not len(variables):
      continue
    if 'name' not in variables.attrs:
      raise ValueError(
        'written by a Keras version that did not store the names of layers;'
        ' save it again with Keras 3.15 or as .h5'
      )
    for i, variable in variables.items():
      arrays[f'{variables.attrs["name"]}/{i}'] = variable[()]
  return arrays


def _names(attribute: Any) -> list[str]:
  return [n.decode() if isinstance(n, bytes) else str(n) for n in attribute]

"""Weights files of other projects as named arrays; nothing in them is run."""

import hashlib
import io
import pathlib
from typing import Any
import zipfile

import h5py
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from inception.data.tensorflow import tf
from inception.errors import UserError
from inception.pretrained import torch_file

Arrays = dict[str, np.ndarray]

SUFFIXES = ('.ckpt', '.h5', '.keras', '.pth', '.pt', '.safetensors')

# A TensorFlow checkpoint is several files; its name is their common beginning.
_CHECKPOINT_INDEX = '.index'


def read_arrays(path: pathlib.Path) -> Arrays:
  """Reads all arrays of a weights file.

  Args:
    path: of a file with one of `SUFFIXES`; a TensorFlow checkpoint may also be
      named with the step behind its suffix, or by its index file.

  Returns:
    Arrays by the names that they have in the file. Keras's are
    `<layer>/<number of the variable in the layer>`.

  Raises:
    UserError: there is no such file, it is of another kind, or it is damaged.
  """
  path = checkpoint_prefix(path)
  is_checkpoint = _index_file(path).exists()
  if not is_checkpoint and not path.is_file():
    raise UserError(f'no such file: {path}')
  try:
    if is_checkpoint:
      return _read_checkpoint(path)
    match path.suffix:
      case '.ckpt':  # Before version 2 a checkpoint was one file.
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
    f'{path} is no weights file that is known; known are {", ".join(SUFFIXES)}'
  )


def sha256(path: pathlib.Path) -> str:
  """Returns the hash of a weights file; of all files of a checkpoint."""
  path = checkpoint_prefix(path)
  paths = [path]
  if _index_file(path).exists():
    paths = [
      _index_file(path),
      *sorted(path.parent.glob(f'{path.name}.data-*')),
    ]
  digest = hashlib.sha256()
  for part in paths:
    with part.open('rb') as file:
      while chunk := file.read(1 << 20):
        digest.update(chunk)
  return digest.hexdigest()


def checkpoint_prefix(path: pathlib.Path) -> pathlib.Path:
  """Returns the name of a TensorFlow checkpoint for its index or data file."""
  name = path.name.removesuffix(_CHECKPOINT_INDEX)
  return path.with_name(name.split('.data-')[0])


def _index_file(path: pathlib.Path) -> pathlib.Path:
  return path.with_name(path.name + _CHECKPOINT_INDEX)


def _read_checkpoint(path: pathlib.Path) -> Arrays:
  reader = tf.train.load_checkpoint(str(path))
  return {
    name: reader.get_tensor(name)
    for name, dtype in reader.get_variable_to_dtype_map().items()
    if dtype.is_floating
  }


def _read_keras_archive(path: pathlib.Path) -> Arrays:
  with zipfile.ZipFile(path) as archive:
    content = archive.read('model.weights.h5')
  with h5py.File(io.BytesIO(content)) as file:
    return _read_keras(file)


def _read_keras(file: h5py.File) -> Arrays:
  if 'layers' in file:
    return _read_keras3(file['layers'])
  root = file.get('model_weights', file)
  if 'layer_names' not in root.attrs:
    raise ValueError('neither weights nor a model by Keras')
  arrays = {}
  for layer in _names(root.attrs['layer_names']):
    for i, name in enumerate(_names(root[layer].attrs['weight_names'])):
      arrays[f'{layer}/{i}'] = root[layer][name][()]
  return arrays


def _read_keras3(layers: Any) -> Arrays:
  """Reads the format of Keras 3.

  Its groups are numbered by kind in another order than the layers were made;
  the layers' own names stand beside the variables.
  """
  arrays = {}
  for group in layers.values():
    variables = group.get('vars', {})
    if not len(variables):
      continue
    if 'name' not in variables.attrs:
      raise ValueError(
        'it was saved by a Keras that did not write the names of layers; save'
        ' it again with Keras 3.15 or as .h5'
      )
    for i, variable in variables.items():
      arrays[f'{variables.attrs["name"]}/{i}'] = variable[()]
  return arrays


def _names(attribute: Any) -> list[str]:
  return [n.decode() if isinstance(n, bytes) else str(n) for n in attribute]

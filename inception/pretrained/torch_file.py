"""Tensors of a file that torch.save wrote, without torch or pickle."""

from collections.abc import Callable
import io
import math
import struct
from typing import Any
import zipfile

import numpy as np

from inception import paths
from inception.pretrained.torch_pickle import Storage, TensorView, read_pickle

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C


def read_torch(path: paths.Path) -> dict[str, np.ndarray]:
  """Reads the named tensors of a .pth or .pt file, in either of its formats.

  Args:
    path: File with a state dict, or with a dict that holds one under
      'state_dict', 'model_state_dict' or 'model'.

  Returns:
    Arrays by name.

  Raises:
    ValueError: The file was not written by torch.save, or is damaged.
  """
  try:
    if zipfile.is_zipfile(path):
      return _read_zip(path)
    return _read_legacy(path)
  except (
    AttributeError,
    KeyError,
    IndexError,
    TypeError,
    EOFError,
    struct.error,
    zipfile.BadZipFile,
    MemoryError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
  ) as error:
    raise ValueError(f'not tensors written by torch.save: {error}') from error


def _read_zip(path: paths.Path) -> dict[str, np.ndarray]:
  with zipfile.ZipFile(path) as archive:
    pickles = [n for n in archive.namelist() if n.endswith('/data.pkl')]
    if len(pickles) != 1:
      raise ValueError('contains no data.pkl: not written by torch.save')
    folder = pickles[0].removesuffix('data.pkl')
    root = read_pickle(io.BytesIO(archive.read(pickles[0])))

    def read(storage: Storage) -> bytes:
      return archive.read(f'{folder}data/{storage.key}')

    return _arrays(root, read)


def _read_legacy(path: paths.Path) -> dict[str, np.ndarray]:
  """Reads the format before PyTorch 1.6: five pickles, then the storages."""
  with path.open('rb') as file:
    if read_pickle(file) != _LEGACY_MAGIC:
      raise ValueError('not written by torch.save')
    read_pickle(file)  # Version of the format.
    read_pickle(file)  # Sizes of C types.
    storages: dict[str, Storage] = {}
    root = read_pickle(file, storages)
    contents = {}
    for key in read_pickle(file):
      (count,) = struct.unpack('<q', file.read(8))
      contents[key] = file.read(count * storages[key].dtype.itemsize)
    return _arrays(root, lambda storage: contents[storage.key])


def _arrays(
  root: Any, read: Callable[[Storage], bytes]
) -> dict[str, np.ndarray]:
  for wrapper in ('state_dict', 'model_state_dict', 'model'):
    if isinstance(root, dict) and isinstance(root.get(wrapper), dict):
      root = root[wrapper]
  if not isinstance(root, dict):
    raise ValueError('contains no dict of tensors; save model.state_dict()')
  arrays = {
    name: array(view, read(view.storage))
    for name, view in root.items()
    if isinstance(name, str) and isinstance(view, TensorView)
  }
  if not arrays:
    raise ValueError('contains no named tensors; save model.state_dict()')
  return arrays


def array(view: TensorView, content: bytes) -> np.ndarray:
  """Copies a tensor out of its storage.

  Args:
    view: The tensor.
    content: All bytes of its storage.

  Raises:
    ValueError: The storage is truncated, or the tensor is not inside it.
  """
  dtype = view.storage.dtype
  flat = np.frombuffer(content, dtype)
  if len(flat) < view.storage.size:
    raise ValueError('truncated')
  last = sum((n - 1) * s for n, s in zip(view.shape, view.strides))
  size = math.prod(view.shape)
  inside = (
    min((*view.shape, *view.strides, view.offset)) >= 0
    and size <= len(flat)
    and (size == 0 or view.offset + last < len(flat))
  )
  if not inside:
    raise ValueError('a tensor extends beyond its storage')
  return np.lib.stride_tricks.as_strided(
    flat[view.offset :],
    view.shape,
    [stride * dtype.itemsize for stride in view.strides],
    writeable=False,
  ).copy()

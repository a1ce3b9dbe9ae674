"""Reads tensors that torch.save wrote, without using torch or pickle."""

from collections.abc import Callable, Mapping
import io
import math
import struct
from typing import Any, BinaryIO
import zipfile

import numpy as np

from inception.pretrained.formats import archive
from inception.pretrained.formats.content import Content, choose_copy
from inception.pretrained.formats.torch_pickle import (
  Inert,
  Storage,
  TensorView,
  read_pickle,
)
from inception.pretrained.tensors import Arrays

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C

# Names that training scripts give a state dict, the usual ones first. All are
# copies of the same weights.
_WRAPPERS = (
  'state_dict',
  'model_state_dict',
  'model',
  'state_dict_ema',
  'model_ema',
  'ema',
  'ema_state_dict',
  'model_ema_state_dict',
)


def read_torch(file: BinaryIO, copy: str | None) -> Content:
  """Reads the named tensors of a .pth or .pt file, in either of its formats.

  Args:
    file: File with a state dict, or with a dict that holds one under a usual
      name, such as 'state_dict'.
    copy: The name to use if there are several; None uses the moving average if
      there is one, as timm does.

  Raises:
    ValueError: The file was not written by torch.save, or is damaged.
  """
  if zipfile.is_zipfile(file):
    return _read_zip(file, copy)
  file.seek(0)
  return _read_legacy(file, copy)


def _read_zip(file: BinaryIO, copy: str | None) -> Content:
  with zipfile.ZipFile(file) as members:
    pickles = [n for n in members.namelist() if n.endswith('/data.pkl')]
    if len(pickles) != 1:
      raise ValueError('contains no data.pkl: not written by torch.save')
    folder = pickles[0].removesuffix('data.pkl')
    root = read_pickle(io.BytesIO(archive.read(members, pickles[0])))
    return _content(
      root, copy, lambda s: archive.read(members, f'{folder}data/{s.key}')
    )


def _read_legacy(file: BinaryIO, copy: str | None) -> Content:
  """Reads the format of PyTorch before 1.6: five pickles, then the storages."""
  if read_pickle(file) != _LEGACY_MAGIC:
    raise ValueError('not written by torch.save')
  read_pickle(file)  # Version of the format.
  read_pickle(file)  # Sizes of C types.
  storages: dict[str, Storage] = {}
  root = read_pickle(file, storages)
  contents = {}
  for key in read_pickle(file):
    if not isinstance(key, str):
      raise ValueError('the pickle is damaged')
    (count,) = struct.unpack('<q', file.read(8))
    size = count * storages[key].dtype.itemsize
    if not 0 <= size <= archive.size_of(file) - file.tell():
      raise ValueError('truncated')
    contents[key] = file.read(size)
  return _content(root, copy, lambda storage: contents[storage.key])


def _content(
  root: Any, wanted: str | None, read: Callable[[Storage], bytes]
) -> Content:
  """Finds the state dict and reads its tensors."""
  copy: str | None = None
  others: tuple[str, ...] = ()
  left_out: tuple[str, ...] = ()
  while isinstance(root, dict):
    names = [name for name in _WRAPPERS if isinstance(root.get(name), dict)]
    if not names:
      break
    copy = choose_copy(names, wanted)
    wanted = None
    others = tuple(name for name in names if name != copy)
    left_out = tuple(name for name in root if name not in names)
    root = root[copy]
  if not isinstance(root, dict):
    raise ValueError('contains no dict of tensors; save model.state_dict()')
  for name, value in root.items():
    if isinstance(value, Inert) and value.reason:
      raise ValueError(f'{name} is {value.reason}')
  views = {n: view for n, view in root.items() if isinstance(view, TensorView)}
  if not views:
    raise ValueError('contains no named tensors; save model.state_dict()')
  left_out += tuple(name for name in root if name not in views)
  return Content(_read_views(views, read), copy, others, left_out)


def _read_views(
  views: Mapping[str, TensorView], read: Callable[[Storage], bytes]
) -> Arrays:
  """Reads every storage once, however many tensors share it."""
  by_storage: dict[str, list[str]] = {}
  for name, view in views.items():
    by_storage.setdefault(view.storage.key, []).append(name)
  arrays = {}
  for names in by_storage.values():
    content = read(views[names[0]].storage)
    arrays.update({name: array(views[name], content) for name in names})
  return {name: arrays[name] for name in views}


def array(view: TensorView, content: bytes) -> np.ndarray:
  """Copies a tensor out of the bytes of its storage.

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

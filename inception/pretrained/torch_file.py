"""Tensors of a file that torch.save wrote, without torch and without pickle.

A pickle is a program; this file never runs one. It walks through its
instructions, keeps those that build plain containers, and looks at the others:
the call that makes a tensor is read as a description of the tensor, any other
call stays an inert object that nothing can use.
"""

from collections.abc import Callable, Mapping
import dataclasses
import io
import math
import pathlib
import pickletools
import struct
from typing import Any, BinaryIO
import zipfile

import ml_dtypes
import numpy as np

# Name of the storage class, after 'torch.', to the type of its elements.
_STORAGES: dict[str, Any] = {
  'FloatStorage': np.dtype('<f4'),
  'DoubleStorage': np.dtype('<f8'),
  'HalfStorage': np.dtype('<f2'),
  'BFloat16Storage': np.dtype(ml_dtypes.bfloat16),
  'LongStorage': np.dtype('<i8'),
  'IntStorage': np.dtype('<i4'),
  'ShortStorage': np.dtype('<i2'),
  'CharStorage': np.dtype('i1'),
  'ByteStorage': np.dtype('u1'),
  'BoolStorage': np.dtype('?'),
}

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C

_TENSOR_CALLS = (
  'torch._utils._rebuild_tensor_v2',
  'torch._utils._rebuild_tensor',
)
_PARAMETER_CALL = 'torch._utils._rebuild_parameter'

_MARK = object()


@dataclasses.dataclass
class _Inert:
  """What the pickle would have imported or called; nothing is done with it."""

  name: str
  arguments: tuple[Any, ...] = ()


@dataclasses.dataclass(frozen=True)
class _Storage:
  key: str
  dtype: np.dtype
  size: int


@dataclasses.dataclass(frozen=True)
class _Tensor:
  storage: _Storage
  offset: int
  shape: tuple[int, ...]
  strides: tuple[int, ...]


def read_torch(path: pathlib.Path) -> dict[str, np.ndarray]:
  """Reads the named tensors of a .pth or .pt file, new format or old.

  Args:
    path: a state dict, or a dict that holds one under 'state_dict' or 'model'.

  Returns:
    Tensors by name.

  Raises:
    ValueError: the file is not such a file, or is damaged; one line.
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
    raise ValueError(f'not a file of tensors by torch.save: {error}') from error


def _read_zip(path: pathlib.Path) -> dict[str, np.ndarray]:
  with zipfile.ZipFile(path) as archive:
    pickles = [n for n in archive.namelist() if n.endswith('/data.pkl')]
    if len(pickles) != 1:
      raise ValueError('no data.pkl in it: not written by torch.save')
    folder = pickles[0].removesuffix('data.pkl')
    root = _walk(io.BytesIO(archive.read(pickles[0])))

    def read(storage: _Storage) -> bytes:
      return archive.read(f'{folder}data/{storage.key}')

    return _arrays(root, read)


def _read_legacy(path: pathlib.Path) -> dict[str, np.ndarray]:
  """Reads the format before PyTorch 1.6: five pickles, then the storages."""
  with path.open('rb') as file:
    if _walk(file) != _LEGACY_MAGIC:
      raise ValueError('not written by torch.save')
    _walk(file)  # Version of the protocol.
    _walk(file)  # Sizes of C types.
    storages: dict[str, _Storage] = {}
    root = _walk(file, storages)
    contents = {}
    for key in _walk(file):
      (count,) = struct.unpack('<q', file.read(8))
      contents[key] = file.read(count * storages[key].dtype.itemsize)
    return _arrays(root, lambda storage: contents[storage.key])


def _arrays(
  root: Any, read: Callable[[_Storage], bytes]
) -> dict[str, np.ndarray]:
  for wrapper in ('state_dict', 'model'):
    if isinstance(root, dict) and isinstance(root.get(wrapper), dict):
      root = root[wrapper]
  if not isinstance(root, dict):
    raise ValueError('no dict of tensors in it; save model.state_dict()')
  arrays = {
    name: _array(value, read(value.storage))
    for name, value in root.items()
    if isinstance(name, str) and isinstance(value, _Tensor)
  }
  if not arrays:
    raise ValueError('no named tensors in it; save model.state_dict()')
  return arrays


def _array(tensor: _Tensor, content: bytes) -> np.ndarray:
  dtype = tensor.storage.dtype
  flat = np.frombuffer(content, dtype)
  if len(flat) < tensor.storage.size:
    raise ValueError('cut short')
  last = sum((n - 1) * s for n, s in zip(tensor.shape, tensor.strides))
  size = math.prod(tensor.shape)
  inside = (
    min((*tensor.shape, *tensor.strides, tensor.offset)) >= 0
    and size <= len(flat)
    and (size == 0 or tensor.offset + last < len(flat))
  )
  if not inside:
    raise ValueError('a tensor reaches out of its storage')
  return np.lib.stride_tricks.as_strided(
    flat[tensor.offset :],
    tensor.shape,
    [stride * dtype.itemsize for stride in tensor.strides],
    writeable=False,
  ).copy()


def _walk(file: BinaryIO, storages: dict[str, _Storage] | None = None) -> Any:
  """Follows one pickle's instructions to the value that it describes.

  Args:
    file: at the first byte of a pickle; afterwards behind its last.
    storages: filled with the storages that were met, by key.
  """
  machine = _Machine({} if storages is None else storages)
  for opcode, argument, _ in pickletools.genops(file):
    if opcode.name == 'STOP':
      return machine.stack.pop()
    machine.step(opcode.name, argument)
  raise EOFError('cut short')


class _Machine:
  """The stack that a pickle's instructions work on."""

  def __init__(self, storages: dict[str, _Storage]):
    self.stack: list[Any] = []
    self._memo: dict[int, Any] = {}
    self._storages = storages
    self._handlers: Mapping[str, Callable[[Any], None]] = {
      'MARK': lambda _: self.stack.append(_MARK),
      'EMPTY_DICT': lambda _: self.stack.append({}),
      'EMPTY_LIST': lambda _: self.stack.append([]),
      'EMPTY_TUPLE': lambda _: self.stack.append(()),
      'EMPTY_SET': lambda _: self.stack.append(set()),
      'NONE': lambda _: self.stack.append(None),
      'NEWTRUE': lambda _: self.stack.append(True),
      'NEWFALSE': lambda _: self.stack.append(False),
      'DICT': lambda _: self.stack.append(_pairs(self._marked())),
      'LIST': lambda _: self.stack.append(self._marked()),
      'TUPLE': lambda _: self.stack.append(tuple(self._marked())),
      'TUPLE1': lambda _: self.stack.append(self._last(1)),
      'TUPLE2': lambda _: self.stack.append(self._last(2)),
      'TUPLE3': lambda _: self.stack.append(self._last(3)),
      'SETITEM': lambda _: self._set(self._last(2)),
      'SETITEMS': lambda _: self._set(self._marked()),
      'APPEND': lambda _: self._extend(self._last(1)),
      'APPENDS': lambda _: self._extend(self._marked()),
      'ADDITEMS': lambda _: self._drop_marked(),
      'POP': lambda _: self._drop(),
      'PROTO': lambda _: None,
      'FRAME': lambda _: None,
      'BUILD': lambda _: self._drop(),  # Attributes: not needed.
      'GLOBAL': lambda name: self.stack.append(_Inert(name.replace(' ', '.'))),
      'STACK_GLOBAL': lambda _: self.stack.append(
        _Inert('.'.join(self._last(2)))
      ),
      'REDUCE': lambda _: self._call(),
      'NEWOBJ': lambda _: self._call(),
      'BINPERSID': lambda _: self._storage(),
      'MEMOIZE': lambda _: self._remember(len(self._memo)),
      **dict.fromkeys(('PUT', 'BINPUT', 'LONG_BINPUT'), self._remember),
      **dict.fromkeys(
        ('GET', 'BINGET', 'LONG_BINGET'),
        lambda place: self.stack.append(self._memo[place]),
      ),
    }

  def step(self, name: str, argument: Any) -> None:
    """Follows one instruction."""
    if name in self._handlers:
      self._handlers[name](argument)
    elif argument is not None:  # Numbers, strings and bytes are themselves.
      self.stack.append(argument)
    else:
      raise ValueError(f'it holds more than tensors (instruction {name})')

  def _last(self, count: int) -> tuple[Any, ...]:
    if len(self.stack) < count:
      raise ValueError('damaged')
    values = tuple(self.stack[-count:])
    del self.stack[-count:]
    return values

  def _drop(self) -> None:
    self._last(1)

  def _drop_marked(self) -> None:
    self._marked()

  def _marked(self) -> list[Any]:
    values = []
    while (value := self.stack.pop()) is not _MARK:
      values.append(value)
    return values[::-1]

  def _set(self, flat: Any) -> None:
    target = self.stack[-1]
    if isinstance(target, dict):
      target.update(_pairs(flat))

  def _extend(self, values: Any) -> None:
    target = self.stack[-1]
    if isinstance(target, list):
      target.extend(values)

  def _remember(self, place: int) -> None:
    self._memo[place] = self.stack[-1]

  def _call(self) -> None:
    called, arguments = self._last(2)
    name = getattr(called, 'name', '')
    if name == 'collections.OrderedDict':
      self.stack.append(dict(arguments[0]) if arguments else {})
    elif name in _TENSOR_CALLS:
      storage, offset, shape, strides = arguments[:4]
      self.stack.append(_Tensor(storage, offset, tuple(shape), tuple(strides)))
    elif name == _PARAMETER_CALL:
      self.stack.append(arguments[0])
    else:
      self.stack.append(_Inert(name, arguments))

  def _storage(self) -> None:
    """Reads ('storage', class, key, device, elements, ...)."""
    (description,) = self._last(1)
    kind, storage_class, key, _, size = description[:5]
    name = storage_class.name.removeprefix('torch.')
    if kind != 'storage' or name not in _STORAGES:
      raise ValueError(f'tensors of {name} are not supported')
    self.stack.append(_Storage(key, _STORAGES[name], size))
    self._storages[key] = self.stack[-1]


def _pairs(flat: Any) -> dict[Any, Any]:
  try:
    return dict(zip(flat[::2], flat[1::2]))
  except TypeError:  # An unhashable key: no dict of tensors.
    return {}

"""Tensors that a pickle of PyTorch describes, without running the pickle.

A pickle is a program that could run anything. This file reads its instructions
and follows only those that build plain containers. A call that would rebuild a
tensor becomes a `TensorView`; any other call becomes an inert object.
"""

from collections.abc import Callable, Mapping
import dataclasses
import pickletools
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np

# Element type by the name of the storage class, without 'torch.'.
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

_TENSOR_CALLS = (
  'torch._utils._rebuild_tensor_v2',
  'torch._utils._rebuild_tensor',
)
_PARAMETER_CALL = 'torch._utils._rebuild_parameter'

_MARK = object()


@dataclasses.dataclass(frozen=True)
class Storage:
  """A flat array that tensors share, stored elsewhere in the file.

  Attributes:
    key: Name of the array in the file.
    dtype: Type of its elements.
    size: Number of its elements.
  """

  key: str
  dtype: np.dtype
  size: int


@dataclasses.dataclass(frozen=True)
class TensorView:
  """A tensor as a strided view of a storage.

  Attributes:
    storage: The storage.
    offset: Index of the first element.
    shape: Shape of the tensor.
    strides: Elements from one index to the next along each axis.
  """

  storage: Storage
  offset: int
  shape: tuple[int, ...]
  strides: tuple[int, ...]


@dataclasses.dataclass
class _Inert:
  """Something the pickle would have imported or called; it is never used."""

  name: str
  arguments: tuple[Any, ...] = ()


def read_pickle(
  file: BinaryIO, storages: dict[str, Storage] | None = None
) -> Any:
  """Reads one pickle: containers, numbers, strings, `TensorView`s.

  Args:
    file: File at the first byte of a pickle; left after its last byte.
    storages: Filled with the storages of the tensors, by key.

  Raises:
    ValueError: The pickle holds something else.
  """
  machine = _Machine({} if storages is None else storages)
  for opcode, argument, _ in pickletools.genops(file):
    if opcode.name == 'STOP':
      return machine.stack.pop()
    machine.step(opcode.name, argument)
  raise EOFError('truncated')


class _Machine:
  """The stack machine that follows a pickle's instructions."""

  def __init__(self, storages: dict[str, Storage]):
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
      'DICT': lambda _: self.stack.append(_pairs(self._pop_to_mark())),
      'LIST': lambda _: self.stack.append(self._pop_to_mark()),
      'TUPLE': lambda _: self.stack.append(tuple(self._pop_to_mark())),
      'TUPLE1': lambda _: self.stack.append(self._pop(1)),
      'TUPLE2': lambda _: self.stack.append(self._pop(2)),
      'TUPLE3': lambda _: self.stack.append(self._pop(3)),
      'SETITEM': lambda _: self._set_items(self._pop(2)),
      'SETITEMS': lambda _: self._set_items(self._pop_to_mark()),
      'APPEND': lambda _: self._extend(self._pop(1)),
      'APPENDS': lambda _: self._extend(self._pop_to_mark()),
      'ADDITEMS': lambda _: self._drop_to_mark(),
      'POP': lambda _: self._drop(),
      'PROTO': lambda _: None,
      'FRAME': lambda _: None,
      'BUILD': lambda _: self._drop(),  # Attributes of an object: not needed.
      'GLOBAL': lambda name: self.stack.append(_Inert(name.replace(' ', '.'))),
      'STACK_GLOBAL': lambda _: self.stack.append(
        _Inert('.'.join(self._pop(2)))
      ),
      'REDUCE': lambda _: self._call(),
      'NEWOBJ': lambda _: self._call(),
      'BINPERSID': lambda _: self._read_storage(),
      'MEMOIZE': lambda _: self._memoize(len(self._memo)),
      **dict.fromkeys(('PUT', 'BINPUT', 'LONG_BINPUT'), self._memoize),
      **dict.fromkeys(
        ('GET', 'BINGET', 'LONG_BINGET'),
        lambda index: self.stack.append(self._memo[index]),
      ),
    }

  def step(self, name: str, argument: Any) -> None:
    """Follows one instruction."""
    if name in self._handlers:
      self._handlers[name](argument)
    elif argument is not None:  # A number, a string or bytes.
      self.stack.append(argument)
    else:
      raise ValueError(f'contains more than tensors (instruction {name})')

  def _pop(self, count: int) -> tuple[Any, ...]:
    if len(self.stack) < count:
      raise ValueError('the pickle is damaged')
    values = tuple(self.stack[-count:])
    del self.stack[-count:]
    return values

  def _pop_to_mark(self) -> list[Any]:
    values = []
    while (value := self.stack.pop()) is not _MARK:
      values.append(value)
    return values[::-1]

  def _drop(self) -> None:
    self._pop(1)

  def _drop_to_mark(self) -> None:
    self._pop_to_mark()

  def _set_items(self, flat: Any) -> None:
    target = self.stack[-1]
    if isinstance(target, dict):
      target.update(_pairs(flat))

  def _extend(self, values: Any) -> None:
    target = self.stack[-1]
    if isinstance(target, list):
      target.extend(values)

  def _memoize(self, index: int) -> None:
    self._memo[index] = self.stack[-1]

  def _call(self) -> None:
    called, arguments = self._pop(2)
    name = getattr(called, 'name', '')
    if name == 'collections.OrderedDict':
      self.stack.append(dict(arguments[0]) if arguments else {})
    elif name in _TENSOR_CALLS:
      storage, offset, shape, strides = arguments[:4]
      view = TensorView(storage, offset, tuple(shape), tuple(strides))
      self.stack.append(view)
    elif name == _PARAMETER_CALL:
      self.stack.append(arguments[0])
    else:
      self.stack.append(_Inert(name, arguments))

  def _read_storage(self) -> None:
    """Reads ('storage', class, key, device, number of elements, ...)."""
    (description,) = self._pop(1)
    kind, storage_class, key, _, size = description[:5]
    name = storage_class.name.removeprefix('torch.')
    if kind != 'storage' or name not in _STORAGES:
      raise ValueError(f'tensors of {name} are not supported')
    self.stack.append(Storage(key, _STORAGES[name], size))
    self._storages[key] = self.stack[-1]


def _pairs(flat: Any) -> dict[Any, Any]:
  try:
    return dict(zip(flat[::2], flat[1::2]))
  except TypeError:  # An unhashable key: not a dict of tensors.
    return {}

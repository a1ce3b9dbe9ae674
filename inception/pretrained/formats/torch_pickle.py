"""Reads the tensors that a PyTorch pickle describes, without running it.

A pickle is a program that could run anything. This file reads its instructions
and follows only those that build plain containers. A call that would rebuild a
tensor becomes a `TensorView`; any other call becomes an inert object.
"""

from collections.abc import Callable
import dataclasses
import pickletools
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np

# Element type by the name of the storage class, without 'torch.'.
_STORAGES: dict[str, Any] = {
  'FloatStorage': '<f4',
  'DoubleStorage': '<f8',
  'HalfStorage': '<f2',
  'BFloat16Storage': ml_dtypes.bfloat16,
  'LongStorage': '<i8',
  'IntStorage': '<i4',
  'ShortStorage': '<i2',
  'CharStorage': 'i1',
  'ByteStorage': 'u1',
  'BoolStorage': '?',
}

_SPARSE = 'a sparse tensor; save tensor.to_dense()'
_NUMPY = 'a NumPy array; save torch.from_numpy(array)'
_UNREADABLE = {
  'torch._utils._rebuild_sparse_tensor': _SPARSE,
  'torch._utils._rebuild_sparse_csr_tensor': _SPARSE,
  'torch._utils._rebuild_qtensor': (
    'a quantized tensor; save tensor.dequantize()'
  ),
  'numpy.core.multiarray._reconstruct': _NUMPY,
  'numpy._core.multiarray._reconstruct': _NUMPY,
}

_MARK = object()


@dataclasses.dataclass(frozen=True)
class Storage:
  """A flat array that tensors share, stored elsewhere in the file.

  Attributes:
    key: Name of the array in the file.
    kind: Name of its class, such as 'FloatStorage'.
    size: Number of its elements.
  """

  key: str
  kind: str
  size: int

  @property
  def dtype(self) -> np.dtype:
    """Type of its elements; raises ValueError if it is not supported."""
    if self.kind not in _STORAGES:
      raise ValueError(f'tensors of {self.kind} are not supported')
    return np.dtype(_STORAGES[self.kind])


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
class Inert:
  """Something that the pickle would import or call; only its name is kept."""

  name: str

  @property
  def reason(self) -> str | None:
    """Why this tensor cannot be read; None if it is not a tensor."""
    if self.name in _UNREADABLE:
      return _UNREADABLE[self.name]
    if self.name.startswith('torch._utils._rebuild'):
      return f'an unsupported tensor ({self.name}); save it as a plain tensor'
    return None


def read_pickle(
  file: BinaryIO, storages: dict[str, Storage] | None = None
) -> Any:
  """Reads one pickle: containers, numbers, strings, `TensorView`s.

  Args:
    file: File at the first byte of a pickle; left after its last byte.
    storages: Filled with the storages of the tensors, by key.

  Raises:
    ValueError: The pickle is damaged, or holds something else.
  """
  return follow(Machine({} if storages is None else storages), file)


def follow(machine: 'Machine', file: BinaryIO) -> Any:
  """Follows the instructions of one pickle; returns what it describes."""
  for opcode, argument, _ in pickletools.genops(file):
    machine.step(opcode.name, argument)
  return machine.stack.pop()


class Machine:
  """The stack machine that follows a pickle's instructions."""

  def __init__(self, storages: dict[str, Storage]):
    """Starts with an empty stack; `storages` as in `read_pickle`."""
    self.stack: list[Any] = []
    self._memo: dict[int, Any] = {}
    self._storages = storages
    push = self.stack.append
    self._handlers: dict[str, Callable[[Any], Any]] = {
      'MARK': lambda _: push(_MARK),
      'EMPTY_DICT': lambda _: push({}),
      'EMPTY_LIST': lambda _: push([]),
      'EMPTY_TUPLE': lambda _: push(()),
      'EMPTY_SET': lambda _: push(set()),
      'NONE': lambda _: push(None),
      'NEWTRUE': lambda _: push(True),
      'NEWFALSE': lambda _: push(False),
      'DICT': lambda _: push(_pairs(self._pop_to_mark())),
      'LIST': lambda _: push(self._pop_to_mark()),
      'TUPLE': lambda _: push(tuple(self._pop_to_mark())),
      'TUPLE1': lambda _: push(self._pop(1)),
      'TUPLE2': lambda _: push(self._pop(2)),
      'TUPLE3': lambda _: push(self._pop(3)),
      'SETITEM': lambda _: self._set_items(self._pop(2)),
      'SETITEMS': lambda _: self._set_items(self._pop_to_mark()),
      'APPEND': lambda _: self._extend(self._pop(1)),
      'APPENDS': lambda _: self._extend(self._pop_to_mark()),
      'ADDITEMS': lambda _: self._pop_to_mark(),
      'POP': lambda _: self._pop(1),
      'BUILD': lambda _: self.build(*self._pop(1)),
      **dict.fromkeys(('PROTO', 'FRAME', 'STOP'), lambda _: None),
      'GLOBAL': lambda name: push(Inert(name.replace(' ', '.'))),
      'STACK_GLOBAL': lambda _: push(Inert('.'.join(self._pop(2)))),
      'REDUCE': lambda _: push(self.call(*self._pop(2))),
      'NEWOBJ': lambda _: push(self.call(*self._pop(2))),
      'BINPERSID': lambda _: push(self._read_storage(*self._pop(1))),
      'MEMOIZE': lambda _: self._memoize(len(self._memo)),
      **dict.fromkeys(('PUT', 'BINPUT', 'LONG_BINPUT'), self._memoize),
      **dict.fromkeys(
        ('GET', 'BINGET', 'LONG_BINGET'),
        lambda index: push(self._memo[index]),
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

  def call(self, called: Any, arguments: Any) -> Any:
    """Returns what a call would return, or something inert."""
    return _rebuild(called, arguments)

  def build(self, state: Any) -> None:
    """Ignores attributes of the object on the stack: they are not needed."""

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

  def _read_storage(self, description: Any) -> Storage:
    """Reads ('storage', class, key, device, number of elements, ...)."""
    kind, storage_class, key, _, size = description[:5]
    if kind != 'storage' or not isinstance(key, str):
      raise ValueError('the pickle is damaged')
    name = storage_class.name.removeprefix('torch.')
    self._storages[key] = Storage(key, name, size)
    return self._storages[key]


def _rebuild(called: Any, arguments: Any) -> Any:
  """Returns the result of a call: a dict, a tensor, or something inert."""
  name = getattr(called, 'name', '')
  match name:
    case 'collections.OrderedDict':
      items = arguments[0] if arguments else []
      return _pairs([part for item in items for part in item])
    case 'torch._utils._rebuild_tensor' | 'torch._utils._rebuild_tensor_v2':
      storage, offset, shape, strides = arguments[:4]
      return TensorView(storage, offset, tuple(shape), tuple(strides))
    case (
      'torch._utils._rebuild_parameter'
      | 'torch._utils._rebuild_parameter_with_state'
    ):
      return arguments[0]  # The others are attributes of the parameter.
    case 'torch._tensor._rebuild_from_type_v2':
      # The arguments are another call, its type, and its own arguments.
      return _rebuild(arguments[0], arguments[2])
  return Inert(name)


def _pairs(flat: Any) -> dict[str, Any]:
  """Returns a dict of the entries whose keys are names.

  Hashing arbitrary keys would let a file crash the process: the hash of a tuple
  recurses in C. Entries with other keys are not part of a state dict.
  """
  names, values = flat[::2], flat[1::2]
  return {n: value for n, value in zip(names, values) if isinstance(n, str)}

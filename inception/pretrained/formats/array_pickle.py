"""Reads NumPy arrays out of a pickle, without running it.

Like `torch_pickle`, whose machine it extends: calls that rebuild arrays are
recognized by name, and all others become inert objects.
"""

from typing import Any, BinaryIO

import numpy as np

from inception.pretrained.formats.torch_pickle import Machine, follow

_MODULES = ('numpy.core', 'numpy._core')
_EMPTY_ARRAYS = {f'{module}.multiarray._reconstruct' for module in _MODULES}
_BUFFERS = {f'{module}.numeric._frombuffer' for module in _MODULES}


class _Unfinished:
  """An array or a dtype whose content a later instruction sets.

  Attributes:
    kind: For a dtype, such as 'f8'; None for an array.
    state: What that instruction gives.
  """

  def __init__(self, kind: Any = None):
    self.kind, self.state = kind, None


class _ArrayMachine(Machine):
  """A machine that also builds arrays."""

  def call(self, called: Any, arguments: Any) -> Any:
    name = getattr(called, 'name', '')
    if name in _EMPTY_ARRAYS:
      return _Unfinished()
    if name == 'numpy.dtype':
      return _Unfinished(arguments[0])
    if name in _BUFFERS:
      data, dtype, shape, order = arguments
      return _array(data, _dtype(dtype), shape, order)
    # How Python 2's protocol stores bytes.
    if name == '_codecs.encode' and arguments[1:] == ('latin1',):
      return arguments[0].encode('latin1')
    return super().call(called, arguments)

  def build(self, state: Any) -> None:
    if isinstance(self.stack[-1], _Unfinished):
      self.stack[-1].state = state


def read_arrays(file: BinaryIO) -> dict[str, Any]:
  """Reads a pickle of nested dicts of arrays.

  Args:
    file: File at the first byte of a pickle.

  Returns:
    Nested dicts with arrays, numbers and strings; other objects are left out.

  Raises:
    ValueError: The pickle is damaged, or holds no dict.
  """
  try:
    tree = follow(_ArrayMachine({}), file)
    return _finish(tree)
  except (IndexError, KeyError, TypeError, AttributeError) as error:
    raise ValueError(
      'the pickle is damaged, or not a dict of arrays'
    ) from error


def _finish(tree: dict[str, Any]) -> dict[str, Any]:
  """Finishes the arrays in nested dicts, and drops what is inert."""
  found: dict[str, Any] = {}
  for name, value in tree.items():
    if isinstance(value, dict):
      found[name] = _finish(value)
    elif isinstance(value, _Unfinished) and value.kind is None:
      if not isinstance(value.state, tuple) or len(value.state) != 5:
        raise ValueError(f'the array {name} is damaged')
      _, shape, dtype, is_fortran, data = value.state
      order = 'F' if is_fortran else 'C'
      if isinstance(data, bytes | bytearray):  # Others are of objects.
        found[name] = _array(data, _dtype(dtype), shape, order)
    elif isinstance(value, np.ndarray | int | float | str):
      found[name] = value
  return found


def _dtype(unfinished: Any) -> np.dtype:
  if not isinstance(unfinished, _Unfinished) or unfinished.kind is None:
    raise ValueError('an array has no dtype')
  order = unfinished.state[1] if unfinished.state else '='
  dtype = np.dtype(unfinished.kind).newbyteorder(order)
  return dtype


def _array(data: Any, dtype: np.dtype, shape: Any, order: Any) -> np.ndarray:
  if not isinstance(data, bytes | bytearray):
    raise ValueError('an array has no data')
  return np.frombuffer(data, dtype).reshape(shape, order=order)

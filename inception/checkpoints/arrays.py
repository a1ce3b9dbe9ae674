"""The arrays of a checkpoint by name, and their digest."""

from collections.abc import Mapping
import hashlib
from typing import Any

from flax import serialization, traverse_util
import numpy as np

SEPARATOR = '/'


def flatten(state: Any) -> dict[str, Any]:
  """Returns {'params/.../kernel': array} for any tree, without empty nodes."""
  nested = serialization.to_state_dict(state)
  flat = traverse_util.flatten_dict(nested, sep=SEPARATOR)
  return {name: leaf for name, leaf in flat.items() if leaf is not None}


def unflatten(flat: Mapping[str, Any]) -> dict[str, Any]:
  """Returns nested dicts; the inverse of `flatten`."""
  return traverse_util.unflatten_dict(dict(flat), sep=SEPARATOR)


def digest(flat: Mapping[str, Any]) -> str:
  """Returns a hash of names, dtypes, shapes and content."""
  total = hashlib.blake2b(digest_size=16)
  for name in sorted(flat):
    array = np.asarray(flat[name])
    total.update(f'{name} {array.dtype} {array.shape}'.encode())
    total.update(np.ascontiguousarray(array).tobytes())
  return total.hexdigest()

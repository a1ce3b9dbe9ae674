"""Functions of all pairs of features, a block of rows at a time, on devices."""

from collections.abc import Callable
import functools
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

Array = jax.Array

# Pairs at a time on a device: 1 GB of distances in float32.
_PAIRS = 2**28
_MOST_ROWS = 1024


def by_rows(
  function: Callable[..., Array],
  rows: np.ndarray,
  *others: np.ndarray,
  **static: Any,
) -> np.ndarray:
  """Applies a function to blocks of rows, on all local devices in turn.

  Args:
    function: Maps rows [block, size] and `others` to results [block, ...],
      row by row.
    rows: float32 [images, size].
    *others: Arrays that every block needs, such as other features.
    **static: Further arguments of the function.

  Returns:
    The results of all rows, [images, ...].
  """
  devices = jax.local_devices()
  block = max(1, min(_MOST_ROWS, _PAIRS // len(others[0]), len(rows)))
  compiled = _compiled(function, **static)
  everywhere = [jax.device_put(others, device) for device in devices]
  results: list[Any] = []
  for index, start in enumerate(range(0, len(rows), block)):
    part = rows[start : start + block]
    padded = np.zeros((block, *rows.shape[1:]), rows.dtype)
    padded[: len(part)] = part
    device = index % len(devices)
    result = compiled(
      jax.device_put(padded, devices[device]), *everywhere[device]
    )
    results.append(result[: len(part)])
  return np.concatenate([np.asarray(result) for result in results])


@functools.cache
def _compiled(function: Callable[..., Array], **static: Any) -> Any:
  return jax.jit(functools.partial(function, **static))


def squared_distances(rows: Array, columns: Array) -> Array:
  """Returns squared distances of features, float32 [rows, columns].

  Their rounding is relative to the features' norms, so center them first.
  """
  products = jnp.matmul(rows, columns.T, precision=lax.Precision.HIGHEST)
  squares = jnp.sum(rows**2, 1)[:, None] + jnp.sum(columns**2, 1)
  return jnp.maximum(squares - 2 * products, 0)


def centered(*sides: np.ndarray) -> list[np.ndarray]:
  """Subtracts the last side's mean from all; returns float32."""
  mean = sides[-1].mean(axis=0, dtype=np.float64)
  return [(side - mean).astype(np.float32) for side in sides]

"""Gathers statistics and features from all processes of a run."""

from typing import Any

import jax
from jax.experimental import multihost_utils
import numpy as np

from inception.generative import moments
from inception.generative.moments import Gaussian
from inception.processes import distributed


def across_processes(state: Any) -> tuple[Gaussian, Gaussian]:
  """Returns the Gaussians of both halves, of all devices and processes.

  Args:
    state: Moments with axes [local devices, 2] before their own.
  """
  host = jax.tree.map(np.asarray, state)
  one, other = (
    _of_processes(moments.parts(jax.tree.map(lambda x, i=i: x[:, i], host)))
    for i in range(2)
  )
  return one, other


def _of_processes(parts: list[Gaussian]) -> Gaussian:
  """Combines the parts of all processes; there may be none here."""
  here = moments.combine_any(parts)
  if distributed.process_count() == 1:
    return here
  gathered = [
    _gather(np.asarray(x))
    for x in (np.array([here.count or 0]), here.mean, here.covariance)
  ]
  return moments.combine_any(
    [
      Gaussian(mean, covariance, int(count[0]))
      for count, mean, covariance in zip(*gathered)
    ]
  )


def _gather(array: np.ndarray) -> np.ndarray:
  """Returns an array of every process, [processes, ...], to the bit."""
  # JAX would round float64 to float32.
  bits = np.ascontiguousarray(array).view(np.uint8)
  everywhere = np.asarray(multihost_utils.process_allgather(bits))
  return everywhere.view(array.dtype)


def gather_rows(array: np.ndarray) -> np.ndarray:
  """Joins the rows of all processes, which may have different numbers."""
  counts = _gather(np.array([len(array)]))[:, 0]
  padded = np.zeros((counts.max(), *array.shape[1:]), array.dtype)
  padded[: len(array)] = array
  everywhere = _gather(padded)
  return np.concatenate([x[:n] for x, n in zip(everywhere, counts)])

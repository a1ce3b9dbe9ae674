"""Gathers statistics and features from all processes of a run."""

from typing import Any

import jax
from jax.experimental import multihost_utils
import numpy as np

from inception.generative import moments
from inception.generative.moments import Gaussian
from inception.processes import distributed
from inception.processes.device_program import pmap
from inception.processes.distributed import AXIS


def across_processes(state: Any) -> list[Gaussian]:
  """Returns the Gaussian of each part, of all devices and processes.

  Args:
    state: Moments with axes [local devices, parts] before their own.
  """
  if distributed.process_count() > 1:
    summed = pmap(
      lambda parts: jax.vmap(lambda x: moments.across(x, AXIS))(parts),
      {},
      axis_name=AXIS,
      out_axes=None,
      devices=distributed.all_devices(),
    )
    state = jax.tree.map(lambda x: x[None], summed(state))
  host = jax.tree.map(np.asarray, state)
  return [
    moments.combine_any(
      moments.gaussians(jax.tree.map(lambda x, i=i: x[:, i], host))
    )
    for i in range(host.count.shape[1])
  ]


def gather_rows(array: np.ndarray) -> np.ndarray:
  """Joins the rows of all processes, which may have different numbers."""
  if distributed.process_count() == 1:
    return array
  counts = _gather(np.array([len(array)]))[:, 0]
  padded = np.zeros((counts.max(), *array.shape[1:]), array.dtype)
  padded[: len(array)] = array
  everywhere = _gather(padded)
  return np.concatenate([x[:n] for x, n in zip(everywhere, counts)])


def _gather(array: np.ndarray) -> np.ndarray:
  """Returns an array of every process, [processes, ...], to the bit."""
  # JAX would round int64 to int32.
  bits = np.ascontiguousarray(array).view(np.uint8)
  everywhere = np.asarray(multihost_utils.process_allgather(bits))
  return everywhere.view(array.dtype)

"""Builds batches from positions in a stream of examples."""

from collections.abc import Callable, Iterator, Mapping, Sequence
import dataclasses
import functools
import os
from typing import Any

import jax
import numpy as np

from inception.data.tensorflow import tf
from inception.processes import distributed

Batch = Mapping[str, np.ndarray]

_PREFETCHED_BATCHES = 2
# Images per call. The GIL serializes calls into Python, so fewer calls are
# better, but the graph grows with the number of images.
_CHUNK = 32
_PARALLEL_CALLS = os.cpu_count() or 1


@dataclasses.dataclass(frozen=True)
class HostShard:
  """The rows of every global batch that this process reads.

  Attributes:
    batch_size: Images in the global batch.
    devices: Number of local devices that the rows are split over.
    process: Index of this process.
    processes: Number of processes.
  """

  batch_size: int
  devices: int
  process: int = 0
  processes: int = 1

  @property
  def rows(self) -> int:
    """Number of rows of a global batch that this process reads."""
    return self.batch_size // self.processes

  @property
  def shape(self) -> tuple[int, int]:
    """Number of local devices, and of rows per device."""
    return self.devices, self.rows // self.devices


def host_shard(batch_size: int, devices: Sequence[jax.Device]) -> HostShard:
  """Returns the rows that this process reads.

  Args:
    batch_size: Images in the global batch.
    devices: Devices of all processes, in the order of the rows.
  """
  return HostShard(
    batch_size,
    len(distributed.local(devices)),
    distributed.process_index(),
    distributed.process_count(),
  )


@dataclasses.dataclass(frozen=True)
class Chunks:
  """This process's rows of batches [first_batch, end_batch), in equal chunks.

  One call of the pipeline loads one chunk.
  """

  shard: HostShard
  first_batch: int
  end_batch: int

  @property
  def size(self) -> int:
    """Rows per chunk: the largest divisor of a batch's rows up to a limit."""
    rows = self.shard.rows
    return max(n for n in range(1, _CHUNK + 1) if rows % n == 0)

  @property
  def per_batch(self) -> int:
    """Number of chunks in a batch."""
    return self.shard.rows // self.size

  def positions(self, number: Any) -> Any:
    """Returns the int64 positions [size] of a chunk, given its number."""
    rows = int64(number) * self.size + tf.range(self.size, dtype=tf.int64)
    batch, row = rows // self.shard.rows, rows % self.shard.rows
    first_row = self.shard.process * self.shard.rows
    return batch * self.shard.batch_size + first_row + row


@dataclasses.dataclass(frozen=True)
class Batches:
  """Batches that can be iterated more than once, each time from the first.

  All iterations share one tf.data graph, which takes seconds to build.

  Attributes:
    chunks: Which positions to read.
    indices_of: Maps int64 positions [n] to int64 indices [n] of examples.
    load: Maps positions [n] and indices [n] to a dict of n rows.
    load_row: Loads one row of a chunk that `load` fails on, at an int64
      position [1].
  """

  chunks: Chunks
  indices_of: Callable[[Any], Any]
  load: Callable[[Any, Any], dict[str, Any]]
  load_row: Callable[[Any], Batch]

  def __iter__(self) -> Iterator[Batch]:
    loaded = self._dataset.as_numpy_iterator()
    per_batch = self.chunks.per_batch
    for batch in range(self.chunks.first_batch, self.chunks.end_batch):
      numbers = range(batch * per_batch, (batch + 1) * per_batch)
      rows = _join([self._next_chunk(loaded, number) for number in numbers])
      yield {
        name: array.reshape(*self.chunks.shard.shape, *array.shape[1:])
        for name, array in rows.items()
      }

  @functools.cached_property
  def _dataset(self) -> Any:
    per_batch = self.chunks.per_batch
    dataset = tf.data.Dataset.range(
      self.chunks.first_batch * per_batch, self.chunks.end_batch * per_batch
    )
    # With autotuning, closing a pipeline waits for the tuner to wake up: 17 s
    # at the end of a short run.
    options = tf.data.Options()
    options.autotune.enabled = False
    dataset = dataset.with_options(options).map(self.chunks.positions)

    # No AutoGraph: no Python control flow depends on tensors.
    @tf.autograph.experimental.do_not_convert
    def load(positions: Any) -> dict[str, Any]:
      return self.load(positions, self.indices_of(positions))

    dataset = dataset.map(load, _PARALLEL_CALLS, deterministic=True)
    return dataset.prefetch(_PREFETCHED_BATCHES * per_batch)

  def _next_chunk(self, loaded: Iterator[Batch], number: int) -> Batch:
    try:
      return next(loaded)
    except tf.errors.OpError:  # At least one of its images is corrupt.
      positions = tf.split(self.chunks.positions(number), self.chunks.size)
      return _join([self.load_row(position) for position in positions])


def _join(parts: list[Batch]) -> Batch:
  if len(parts) == 1:  # Nothing to copy.
    return parts[0]
  return {
    name: np.concatenate([part[name] for part in parts]) for name in parts[0]
  }


def int64(value: Any) -> Any:
  """Returns a Python number or a tensor as an int64 tensor."""
  return tf.cast(value, tf.int64)

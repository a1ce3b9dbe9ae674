"""The host's part: examples to uint8 batches in an order that can be resumed.

The stream of training is one endless row of positions. Position p is in epoch
p // n, is example shuffle(p % n) of n under a permutation that follows from the
seed and the epoch, and its crop follows from the seed and p. So a batch depends
on the step alone, however often the run was stopped and by however many
processes and threads it was read.
"""

from collections.abc import Callable, Iterator, Mapping
import dataclasses
import functools
import os
from typing import Any

import ml_collections
import numpy as np

from inception.data import images
from inception.data.broken import StandIns
from inception.data.datasets import Source
from inception.data.tensorflow import tf

Batch = Mapping[str, np.ndarray]

_PREFETCHED_BATCHES = 2
# Images a call: calls into Python wait for each other, so few are better, but
# the graph grows with it.
_CHUNK = 32
_SHUFFLE_ROUNDS = 4  # TensorFlow's default.
_PARALLEL_CALLS = os.cpu_count() or 1
_ENDLESS = 2**40  # Batches.


@dataclasses.dataclass(frozen=True)
class Share:
  """The rows of every global batch that are this process's.

  Attributes:
    batch_size: of the global batch.
    devices: local devices that the rows are split over.
    process: index of this process.
    processes: how many there are.
  """

  batch_size: int
  devices: int
  process: int = 0
  processes: int = 1

  @property
  def rows(self) -> int:
    """Rows of a global batch that this process reads."""
    return self.batch_size // self.processes


def train_batches(
  source: Source,
  config: ml_collections.ConfigDict,
  share: Share,
  seed: int,
  first_step: int,
) -> Iterator[Batch]:
  """Yields training batches without end, from `first_step` on.

  Args:
    source: what to read.
    config: `config.data`.
    share: which rows of each batch.
    seed: of order and crops.
    first_step: steps that were taken before.

  Yields:
    `image` uint8 [devices, rows per device, height, width, 3] and `label`
    int32 [devices, rows per device].

  Raises:
    UserError: more images are broken than `config.max_broken` allows.
  """
  if source.fake:
    yield from _noise(source, config, share)

  count = source.num_examples

  def indices_of(positions: Any) -> Any:
    epochs = positions // count
    keys = tf.stack(
      [tf.fill(tf.shape(epochs), _int64(seed)), epochs, tf.zeros_like(epochs)],
      axis=1,
    )
    # The public name, tf.random.experimental.index_shuffle, takes one key only.
    return tf.raw_ops.RandomIndexShuffle(
      index=positions % count,
      seed=keys,
      max_index=_int64(count - 1),
      rounds=_SHUFFLE_ROUNDS,
    )

  def load(positions: Any, indices: Any) -> dict[str, Any]:
    encoded, labels = source.load(indices)
    seeds = tf.stack([tf.fill(tf.shape(positions), _int64(seed)), positions], 1)
    # One by one, where an image is broken: it may be one in another format.
    jpeg = source.jpeg and not tf.executing_eagerly()
    rows = positions.shape[0]
    windows = images.random_windows(
      tf.unstack(encoded, rows), tf.unstack(seeds), config, jpeg
    )
    squares = tf.numpy_function(
      functools.partial(images.resize_windows, config.image_size),
      windows,
      tf.uint8,
      stateful=False,
    )
    side = config.image_size
    return {
      'image': tf.ensure_shape(squares, (len(windows), side, side, 3)),
      'label': _labels(labels, config),
    }

  positions = _Positions(share, first_step, _ENDLESS)
  stand_ins = StandIns(source, config.max_broken, indices_of, load)
  yield from _batches(positions, indices_of, load, share, stand_ins.load_chunk)


def eval_batches(
  source: Source, config: ml_collections.ConfigDict, share: Share
) -> Iterator[Batch]:
  """Yields every example once, padded to whole batches.

  Args:
    source: what to read.
    config: `config.data`.
    share: which rows of each batch.

  Yields:
    As `train_batches`, with `mask` float32 [devices, rows per device]: 1 for an
    example, 0 for padding.

  Raises:
    UserError: an image is broken; names it.
  """
  count = source.num_examples
  batches = -(-count // share.batch_size)
  if source.fake:
    batch = next(_noise(source, config, share))
    mask = np.ones(batch['label'].shape, np.float32)
    for _ in range(batches):
      yield {**batch, 'mask': mask}
    return

  def indices_of(positions: Any) -> Any:
    return tf.minimum(positions, count - 1)

  def load(positions: Any, indices: Any) -> dict[str, Any]:
    encoded, labels = source.load(indices)
    squares = [
      images.eval_image(encoded[i], config) for i in range(positions.shape[0])
    ]
    return {
      'image': tf.stack(squares),
      'label': _labels(labels, config),
      'mask': tf.cast(positions < count, tf.float32),
    }

  # Evaluation is of every example, so none may stand in for another.
  stand_ins = StandIns(source, None, indices_of, load)
  positions = _Positions(share, 0, batches)
  yield from _batches(positions, indices_of, load, share, stand_ins.load_chunk)


@dataclasses.dataclass(frozen=True)
class _Positions:
  """Positions of this process's rows in batches [first_batch, end_batch).

  They come in chunks of equal size: one call of the host's work each.
  """

  share: Share
  first_batch: int
  end_batch: int

  @property
  def chunk(self) -> int:
    """Rows of a chunk: the largest divisor of a batch's rows below a limit."""
    rows = self.share.rows
    return max(n for n in range(1, _CHUNK + 1) if rows % n == 0)

  def dataset(self) -> Any:
    chunks = self.share.rows // self.chunk
    dataset = tf.data.Dataset.range(
      self.first_batch * chunks, self.end_batch * chunks
    )
    return dataset.map(self.of_chunk)

  def of_chunk(self, number: Any) -> Any:
    """Returns the int64 positions [chunk] of a chunk by its number."""
    rows = _int64(number) * self.chunk + tf.range(self.chunk, dtype=tf.int64)
    batch, row = rows // self.share.rows, rows % self.share.rows
    first_place = self.share.process * self.share.rows
    return batch * self.share.batch_size + first_place + row


def _batches(
  positions: _Positions,
  indices_of: Callable[[Any], Any],
  load: Callable[[Any, Any], dict[str, Any]],
  share: Share,
  stand_in: Callable[[Any], dict[str, np.ndarray]],
) -> Iterator[Batch]:
  dataset = positions.dataset()
  # With automatic tuning, closing a pipeline waits for its tuner to wake up:
  # 17 s at the end of a short run.
  options = tf.data.Options()
  options.autotune.enabled = False
  dataset = dataset.with_options(options)
  dataset = dataset.map(
    lambda p: load(p, indices_of(p)), _PARALLEL_CALLS, deterministic=True
  )
  chunks_per_batch = share.rows // positions.chunk
  dataset = dataset.prefetch(_PREFETCHED_BATCHES * chunks_per_batch)
  chunks = dataset.as_numpy_iterator()

  def chunk(number: int) -> Batch:
    try:
      return next(chunks)
    except tf.errors.OpError:
      return stand_in(positions.of_chunk(number))

  for batch in range(positions.first_batch, positions.end_batch):
    first = batch * chunks_per_batch
    parts = [chunk(first + i) for i in range(chunks_per_batch)]
    yield {
      name: _join([part[name] for part in parts], share.devices)
      for name in parts[0]
    }


def _join(parts: list[np.ndarray], devices: int) -> np.ndarray:
  whole = parts[0] if len(parts) == 1 else np.concatenate(parts)
  return whole.reshape(devices, -1, *whole.shape[1:])


def _labels(labels: Any, config: ml_collections.ConfigDict) -> Any:
  return tf.cast(labels, tf.int32) + config.class_offset


def _int64(value: Any) -> Any:
  return tf.cast(value, tf.int64)


def _noise(
  source: Source, config: ml_collections.ConfigDict, share: Share
) -> Iterator[Batch]:
  generator = np.random.default_rng(0)
  side, first = config.image_size, config.class_offset
  shape = (share.devices, share.rows // share.devices)
  batch = {
    'image': generator.integers(0, 256, (*shape, side, side, 3), np.uint8),
    'label': first
    + generator.integers(0, len(source.classes), shape, np.int32),
  }
  while True:
    yield batch

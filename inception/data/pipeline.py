"""The host's part: examples to uint8 batches in an order that can be resumed.

The stream of training is one endless row of positions. Position p is in epoch
p // n, is example shuffle(p % n) of n under a permutation that follows from the
seed and the epoch, and its crop follows from the seed and p. So a batch depends
on the step alone, however often the run was stopped and by however many
processes and threads it was read.
"""

from collections.abc import Callable, Iterator, Mapping
import dataclasses
import os
from typing import Any

import ml_collections
import numpy as np

from inception.data import images
from inception.data.datasets import Source
from inception.data.tensorflow import tf
from inception.errors import UserError

Batch = Mapping[str, np.ndarray]

_PREFETCHED_BATCHES = 2
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
    UserError: an image cannot be decoded; names it.
  """
  if source.fake:
    yield from _noise(source, config.image_size, share)

  count = source.num_examples

  def index_of(position: Any) -> Any:
    key = tf.stack([tf.constant(seed, tf.int64), position // count])
    return tf.random.experimental.index_shuffle(
      position % count, key, tf.constant(count - 1, tf.int64)
    )

  def load(position: Any) -> dict[str, Any]:
    encoded, label = source.load(index_of(position))
    image = images.random_crop(encoded, tf.stack([seed, position]), config)
    return {'image': image, 'label': _label(label, config)}

  positions = _Positions(share, first_step, _ENDLESS)
  yield from _batches(positions, index_of, load, source)


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
    UserError: an image cannot be decoded; names it.
  """
  count = source.num_examples
  batches = -(-count // share.batch_size)
  if source.fake:
    batch = next(_noise(source, config.image_size, share))
    mask = np.ones(batch['label'].shape, np.float32)
    for _ in range(batches):
      yield {**batch, 'mask': mask}
    return

  def index_of(position: Any) -> Any:
    return tf.minimum(position, count - 1)

  def load(position: Any) -> dict[str, Any]:
    encoded, label = source.load(index_of(position))
    return {
      'image': images.eval_image(encoded, config),
      'label': _label(label, config),
      'mask': tf.cast(position < count, tf.float32),
    }

  yield from _batches(_Positions(share, 0, batches), index_of, load, source)


@dataclasses.dataclass(frozen=True)
class _Positions:
  """Positions of this process's rows in batches [first_batch, end_batch)."""

  share: Share
  first_batch: int
  end_batch: int

  def dataset(self) -> Any:
    rows = self.share.rows
    first_place = self.share.process * rows

    def position(row: Any) -> Any:
      return row // rows * self.share.batch_size + first_place + row % rows

    dataset = tf.data.Dataset.range(
      self.first_batch * rows, self.end_batch * rows
    )
    return dataset.map(position)

  def of_batch(self, batch: int) -> range:
    first = batch * self.share.batch_size + self.share.process * self.share.rows
    return range(first, first + self.share.rows)


def _batches(
  positions: _Positions,
  index_of: Callable[[Any], Any],
  load: Callable[[Any], dict[str, Any]],
  source: Source,
) -> Iterator[Batch]:
  share = positions.share
  dataset = positions.dataset()
  # With automatic tuning, closing a pipeline waits for its tuner to wake up:
  # 17 s at the end of a short run.
  options = tf.data.Options()
  options.autotune.enabled = False
  dataset = dataset.with_options(options)
  dataset = dataset.map(load, _PARALLEL_CALLS, deterministic=True)
  dataset = dataset.batch(share.rows, drop_remainder=True)
  batches = dataset.prefetch(_PREFETCHED_BATCHES).as_numpy_iterator()
  for number in range(positions.first_batch, positions.end_batch):
    try:
      batch = next(batches)
    except tf.errors.InvalidArgumentError as error:
      broken = [
        source.describe(int(index_of(tf.constant(position, tf.int64))))
        for position in positions.of_batch(number)
        if not _loads(load, position)
      ]
      raise UserError(
        f'{len(broken)} broken images in batch {number} of {source.name}:'
        f' {", ".join(broken[:3])}; replace or remove them'
      ) from error
    yield {
      name: value.reshape(share.devices, -1, *value.shape[1:])
      for name, value in batch.items()
    }


def _loads(load: Callable[[Any], dict[str, Any]], position: int) -> bool:
  try:
    load(tf.constant(position, tf.int64))
    return True
  except tf.errors.InvalidArgumentError:
    return False


def _label(label: Any, config: ml_collections.ConfigDict) -> Any:
  return tf.cast(label, tf.int32) + config.class_offset


def _noise(source: Source, side: int, share: Share) -> Iterator[Batch]:
  generator = np.random.default_rng(0)
  shape = (share.devices, share.rows // share.devices)
  batch = {
    'image': generator.integers(0, 256, (*shape, side, side, 3), np.uint8),
    'label': generator.integers(0, len(source.classes), shape, np.int32),
  }
  while True:
    yield batch

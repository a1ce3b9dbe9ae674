"""The host pipeline: turns examples into uint8 batches in a resumable order.

Training reads an infinite sequence of positions. Position p is in epoch p // n,
where n is the number of examples, and is the example shuffle(p % n) under a
permutation that depends on the seed and the epoch. Its crop depends on the seed
and p. So a batch depends on the step alone, however often the run was stopped
and however many processes and threads read it.
"""

from collections.abc import Callable, Iterable, Iterator
import dataclasses
import functools
import itertools
from typing import Any

import ml_collections
import numpy as np

from inception.data.batches import Batch, Batches, Chunks, HostShard, int64
from inception.data.corrupt import KnownCorrupt, Replacement, load_or_blank
from inception.data.pixels import crops, decode, images
from inception.data.sources import noise
from inception.data.sources.source import Source
from inception.data.tensorflow import tf

_SHUFFLE_ROUNDS = 4  # TensorFlow's default.
_INFINITE = 2**40  # Batches.


def train_batches(
  source: Source,
  config: ml_collections.ConfigDict,
  shard: HostShard,
  seed: int,
  first_step: int,
  known: KnownCorrupt | None = None,
) -> Iterator[Batch]:
  """Returns an infinite iterator of training batches.

  Args:
    source: The examples.
    config: `config.data`.
    shard: Which rows of each batch to read.
    seed: Seed of order and crops.
    first_step: Number of steps already taken; their batches are skipped.
    known: Collects corrupt images. None: only this process counts them.

  Returns:
    Batches of `image` uint8 [devices, rows per device, height, width, 3] and
    `label` int32 [devices, rows per device]. Reading one raises UserError if
    more images are corrupt than `config.max_broken` allows.
  """
  if source.fake:
    return itertools.repeat(noise.make_batch(config, shard.shape))
  examples = _TrainExamples(source, config, seed)
  chunks = Chunks(shard, first_step, _INFINITE)
  known = known or KnownCorrupt(source, config.max_broken)
  return iter(_batches(examples, chunks, known))


def eval_batches(
  source: Source,
  config: ml_collections.ConfigDict,
  shard: HostShard,
  squares: int = 1,
) -> Iterable[Batch]:
  """Returns batches of every example once, padded to whole batches.

  Every iteration starts from the first example; all share one tf.data graph.

  Args:
    source: The examples.
    config: `config.data`.
    shard: Which rows of each batch to read.
    squares: As in `images.eval_images`.

  Returns:
    Batches as from `train_batches`, with `mask` float32 [devices, rows per
    device]: 1 for an example, 0 for padding. Reading one raises UserError if
    an image is corrupt.
  """
  num_batches = -(-source.num_examples // shard.batch_size)
  if source.fake:
    mask = np.ones(shard.shape, np.float32)
    return [
      {**noise.make_batch(config, shard.shape), 'mask': mask}
    ] * num_batches
  chunks = Chunks(shard, 0, num_batches)
  # Evaluation covers every example, so none may replace another.
  known = KnownCorrupt(source, None)
  return _batches(_EvalExamples(source, config, squares), chunks, known)


def file_batches(
  source: Source,
  config: ml_collections.ConfigDict,
  shard: HostShard,
  report: Callable[[int, str], None],
  squares: int = 1,
) -> Iterable[Batch]:
  """Returns batches of every file once, like `eval_batches`.

  A file that is not an image becomes a row of zeros, and is reported before its
  batch is returned.

  Args:
    source: The files.
    config: `config.data`.
    shard: Which rows of each batch to read.
    report: Called with the index of a file and what is wrong with it.
    squares: As in `images.eval_images`.
  """
  examples = _EvalExamples(source, config, squares)
  blank = {
    name: rows[0] for name, rows in empty_batch(config, HostShard(1, 1)).items()
  }
  if squares > 1:
    blank['image'] = np.stack([blank['image']] * squares, axis=1)
  load_row = functools.partial(
    load_or_blank, source, examples.load, blank, report
  )
  chunks = Chunks(shard, 0, -(-source.num_examples // shard.batch_size))
  return Batches(chunks, examples.indices_of, examples.load, load_row)


def empty_batch(
  config: ml_collections.ConfigDict, shard: HostShard
) -> dict[str, np.ndarray]:
  """Returns a batch of zeros, which does not count in an evaluation."""
  side = config.image_size
  return {
    'image': np.zeros((*shard.shape, side, side, 3), np.uint8),
    'label': np.zeros(shard.shape, np.int32),
    'mask': np.zeros(shard.shape, np.float32),
  }


@dataclasses.dataclass(frozen=True)
class _TrainExamples:
  """Examples in a new random order every epoch, randomly cropped."""

  source: Source
  config: ml_collections.ConfigDict
  seed: int

  def indices_of(self, positions: Any) -> Any:
    """Returns the int64 indices [n] of the examples at positions [n]."""
    count = self.source.num_examples
    epochs = positions // count
    keys = [self._seeds(epochs), epochs, tf.zeros_like(epochs)]
    # The public tf.random.experimental.index_shuffle takes only a single key.
    return tf.raw_ops.RandomIndexShuffle(
      index=positions % count,
      seed=tf.stack(keys, axis=1),
      max_index=int64(count - 1),
      rounds=_SHUFFLE_ROUNDS,
    )

  def load(self, positions: Any, indices: Any) -> dict[str, Any]:
    """Returns the rows of a batch, given positions and indices [n]."""
    encoded, labels = self.source.load(indices)
    seeds = tf.stack([self._seeds(positions), positions], axis=1)
    # Eager calls follow a failure, which may be due to a non-JPEG.
    jpeg = self.source.jpeg and not tf.executing_eagerly()
    count, side = positions.shape[0], self.config.image_size
    inspected = decode.inspect(tf.ensure_shape(encoded, (count,)), self.config)
    windows = crops.random_crops(
      inspected, tf.unstack(seeds, count), self.config, jpeg
    )
    squares = tf.numpy_function(
      functools.partial(crops.resize_crops, side),
      [inspected.orientation, *windows],
      tf.uint8,
      stateful=False,
    )
    return {
      'image': tf.ensure_shape(squares, (count, side, side, 3)),
      'label': _labels(labels, self.source, self.config),
    }

  def _seeds(self, positions: Any) -> Any:
    return tf.fill(tf.shape(positions), int64(self.seed))


@dataclasses.dataclass(frozen=True)
class _EvalExamples:
  """Each example once, in order; positions after the last one are padding."""

  source: Source
  config: ml_collections.ConfigDict
  squares: int = 1

  def indices_of(self, positions: Any) -> Any:
    """Returns the int64 indices [n] of the examples at positions [n]."""
    return tf.minimum(positions, self.source.num_examples - 1)

  def load(self, positions: Any, indices: Any) -> dict[str, Any]:
    """Returns the rows of a batch, given positions and indices [n]."""
    encoded, labels = self.source.load(indices)
    encoded = tf.ensure_shape(encoded, positions.shape)
    return {
      'image': images.eval_images(encoded, self.config, self.squares),
      'label': _labels(labels, self.source, self.config),
      'mask': tf.cast(positions < self.source.num_examples, tf.float32),
    }


def _batches(
  examples: _TrainExamples | _EvalExamples,
  chunks: Chunks,
  known: KnownCorrupt,
) -> Batches:
  indices_of, load = examples.indices_of, examples.load
  retry_seconds = examples.config.retry_seconds
  replacement = Replacement(
    examples.source, known, retry_seconds, indices_of, load
  )
  return Batches(chunks, indices_of, load, replacement.load_row)


def _labels(
  labels: Any, source: Source, config: ml_collections.ConfigDict
) -> Any:
  # An invalid label would silently match no class.
  valid = (labels >= 0) & (labels < len(source.classes))
  with tf.control_dependencies(
    [tf.debugging.Assert(tf.reduce_all(valid), [labels])]
  ):
    return tf.cast(labels, tf.int32) + config.class_offset

"""TFDS data sets, read as arrays of records instead of streams."""

from collections.abc import Callable, Mapping
import hashlib
from typing import Any

import ml_collections

from inception.data.sources import builder, records
from inception.data.sources.source import Range, Source, cached, read_in_graph
from inception.data.tensorflow import tf, tfds
from inception.errors import UserError, reason

# Errors that TFDS raises for a missing or malformed split.
_SPLIT_ERRORS = (KeyError, ValueError, AssertionError, NotImplementedError)

# Feature of some data sets: the image's original file name.
_NAME = 'file_name'


def open_split(config: ml_collections.ConfigDict, split: str) -> Source:
  """Opens one split of a TFDS data set; builds the digits if they are missing.

  Args:
    config: `config.data`.
    split: Split in TFDS slicing syntax.

  Raises:
    UserError: The data set is not prepared, there is no such split, or a file
      is missing or damaged.
  """
  dataset = builder.prepared_builder(config.dataset, config.data_dir)
  splits, features = dataset.info.splits, dataset.info.features
  builder.check_shards(splits)
  try:
    slices = [
      records.FileSlice(
        part.filename, part.skip, part.take, part.examples_in_shard
      )
      for part in splits[split].file_instructions
    ]
    ranges = split_ranges(split, splits)
  except _SPLIT_ERRORS as error:
    raise UserError(
      f'no split {split!r} in {config.dataset}; it has {", ".join(splits)}'
    ) from error
  image, label = builder.image_and_label(dataset)
  index = records.index_records(slices, config.retry_seconds)
  if not len(index):
    raise UserError(f'split {split!r} of {config.dataset} holds no examples')
  classes = tuple(features[label].names)
  digest = hashlib.blake2b('\0'.join(classes).encode(), digest_size=16)
  digest.update(index.lengths.tobytes())
  digest.update(index.checksums.tobytes())
  return Source(
    name=f'{config.dataset} {split}',
    num_examples=len(index),
    classes=classes,
    load=_make_load(cached(index.read, config.cache_bytes), image, label),
    read=index.read,
    describe=index.describe,
    digest=digest.hexdigest(),
    ranges=ranges,
    jpeg=features[image].encoding_format == 'jpeg',
    file_name=_file_name(index.read) if _NAME in features else None,
  )


def _file_name(read: Callable[[int], bytes]) -> Callable[[int], str]:
  def name(index: int) -> str:
    example = tf.train.Example.FromString(read(index))
    (value,) = example.features.feature[_NAME].bytes_list.value
    return value.decode()

  return name


def split_ranges(split: str, infos: Mapping[str, Any]) -> tuple[Range, ...]:
  """Returns the ranges of examples that a split refers to.

  Args:
    split: Split in TFDS slicing syntax, such as 'train[:90%]'.
    infos: TFDS's SplitInfo of every whole split, by name.

  Raises:
    ValueError: The syntax is wrong.
    KeyError: There is no such split.
  """
  parts = tfds.core.ReadInstruction.from_spec(split).to_absolute(dict(infos))
  return tuple(
    Range(
      part.splitname,
      part.from_ or 0,
      infos[part.splitname].num_examples if part.to is None else part.to,
    )
    for part in parts
  )


def select_slice(split: str, base: str, count: int) -> tuple[Range, ...]:
  """Returns the ranges of one whole split that a slice selects.

  Args:
    split: Split in TFDS slicing syntax, such as 'train[:90%]'.
    base: Name of the whole split, such as 'train'.
    count: Number of examples in the whole split.

  Raises:
    UserError: The syntax is wrong, or the slice is empty.
  """
  info = tfds.core.SplitInfo(name=base, shard_lengths=[count], num_bytes=0)
  try:
    ranges = split_ranges(split, {base: info})
  except _SPLIT_ERRORS as error:
    raise UserError(
      f'cannot parse the split {split!r}: {reason(error)}'
    ) from error
  if not any(part.first < part.end for part in ranges):
    raise UserError(f'split {split!r} holds no examples')
  return ranges


def _make_load(
  read: Callable[[int], bytes], image: str, label: str
) -> Callable[[Any], tuple[Any, Any]]:
  def load(indices: Any) -> tuple[Any, Any]:
    examples = tf.io.parse_example(
      tf.ensure_shape(read_in_graph(read, indices), [None]),
      {
        image: tf.io.FixedLenFeature([], tf.string),
        label: tf.io.FixedLenFeature([], tf.int64),
      },
    )
    return examples[image], examples[label]

  return load

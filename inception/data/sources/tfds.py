"""TFDS data sets, read as arrays of records instead of streams."""

from collections.abc import Callable, Mapping
import contextlib
import fcntl
import hashlib
import io
import os
from typing import Any

import ml_collections
import numpy as np

from inception import paths
from inception.data.sources import digits, records
from inception.data.sources.source import Range, Source, cached, read_all
from inception.data.tensorflow import tf, tfds
from inception.errors import UserError, count, reason

# What TFDS raises for a split that does not exist or cannot be parsed.
_SPLIT_ERRORS = (KeyError, ValueError, AssertionError, NotImplementedError)

# Feature of some data sets: the name that the image's file had.
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
  builder = _prepared_builder(config.dataset, config.data_dir)
  splits = builder.info.splits
  _check_shards(splits)
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
  image, label = _image_and_label(builder)
  index = records.index_records(slices, config.retry_seconds)
  if not len(index):
    raise UserError(f'split {split!r} of {config.dataset} holds no examples')
  classes = tuple(builder.info.features[label].names)
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
    jpeg=builder.info.features[image].encoding_format == 'jpeg',
    file_name=_file_name(index.read)
    if _NAME in builder.info.features
    else None,
  )


def _file_name(read: Callable[[int], bytes]) -> Callable[[int], str]:
  def name(index: int) -> str:
    example = tf.train.Example.FromString(read(index))
    (value,) = example.features.feature[_NAME].bytes_list.value
    return value.decode()

  return name


def split_ranges(split: str, infos: Mapping[str, Any]) -> tuple[Range, ...]:
  """Returns the examples that a split stands for.

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
  """Returns the examples of one whole split that a slice keeps.

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


def root(data_dir: str | None) -> paths.Path:
  """Returns the folder that holds data sets; None takes TFDS's own.

  Raises:
    UserError: The path is empty or not on a mounted file system.
  """
  own = tfds.core.constants.DATA_DIR
  return paths.resolve(
    own if data_dir is None else data_dir, '--config.data.data_dir'
  )


def names() -> list[str]:
  """Returns the names of all data sets that TFDS can build."""
  return tfds.list_builders(with_community_datasets=False)


def base_name(name: str) -> str:
  """Returns the name of a data set without its version and config."""
  return name.split(':')[0].split('/')[0]


def exists(name: str, data_dir: str | None) -> bool:
  """True if TFDS can build a data set, or it was built by other code."""
  base = base_name(name)
  return base in names() or (root(data_dir) / base).is_dir()


def _make_load(
  read: Callable[[int], bytes], image: str, label: str
) -> Callable[[Any], tuple[Any, Any]]:
  def load(indices: Any) -> tuple[Any, Any]:
    serialized = tf.numpy_function(
      lambda chosen: read_all(read, chosen),
      [indices],
      tf.string,
      stateful=False,
    )
    examples = tf.io.parse_example(
      tf.ensure_shape(serialized, [None]),
      {
        image: tf.io.FixedLenFeature([], tf.string),
        label: tf.io.FixedLenFeature([], tf.int64),
      },
    )
    return examples[image], examples[label]

  return load


def make_builder(name: str, data_dir: str | None) -> Any:
  """Returns TFDS's builder of a data set, which may have to be prepared yet.

  Args:
    name: Name in TFDS.
    data_dir: Folder that holds data sets; None takes TFDS's own.

  Raises:
    UserError: There is no such data set, or its metadata is damaged.
  """
  folder = root(data_dir)
  try:
    builder = tfds.builder(name, data_dir=str(folder))
    assert builder.info.features is not None
  except tfds.core.registered.DatasetNotFoundError as error:
    raise UserError(
      f'cannot open the data set {name!r}: no folder in'
      f' {folder / base_name(name)} has the files dataset_info.json and'
      ' features.json; prepare it again'
    ) from error
  # TFDS parses its JSON files without checks: whatever a damaged one leads to.
  except Exception as error:
    raise UserError(
      f'cannot open the data set {name!r} in {folder}: {reason(error)}; if its'
      ' name is right, dataset_info.json or features.json is damaged: prepare'
      ' it again'
    ) from error
  return builder


def _prepared_builder(name: str, data_dir: str | None) -> Any:
  builder = make_builder(name, data_dir)
  if isinstance(builder, digits.Digits) and not builder.info.splits:
    builder = _build_digits(root(data_dir), builder)
  if not builder.info.splits:
    raise UserError(
      f'data set {name!r} is not prepared in {builder.data_dir}; run'
      f' python -m inception.data.prepare --dataset={name.split(":")[0]},'
      ' or set --config.data.data_dir'
    )
  if builder.info.file_format != tfds.core.FileFormat.TFRECORD:
    raise UserError(
      f'data set {name!r} is prepared as {builder.info.file_format.value};'
      ' prepare it as tfrecord'
    )
  return builder


def _build_digits(folder: paths.Path, builder: Any) -> Any:
  """Builds the digits, unless another process is doing it; then waits."""
  try:
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / '.digits.lock', 'w') as lock:
      fcntl.flock(lock, fcntl.LOCK_EX)
      fresh = tfds.builder(builder.name, data_dir=str(folder))
      if not fresh.info.splits:
        tfds.disable_progress_bar()
        # TFDS would report a download, but there is none.
        with contextlib.redirect_stdout(io.StringIO()):
          fresh.download_and_prepare()
  except (OSError, RuntimeError, tf.errors.OpError) as error:
    raise UserError(
      f'cannot write the digits to {builder.data_dir}: {reason(error)}; set'
      ' --config.data.data_dir'
    ) from error
  return fresh


def _image_and_label(builder: Any) -> tuple[str, str]:
  """Returns the names of the features that hold the image and its class.

  Those that `supervised_keys` name, or else the only ones of their kinds.

  Raises:
    UserError: There are none, or the images are not of 8 bits.
  """
  name, features = builder.info.name, builder.info.features
  image, label = _pair_of(builder.info.supervised_keys) or (
    _only(tfds.features.Image, features),
    _only(tfds.features.ClassLabel, features),
  )
  for key, kind in (
    (image, tfds.features.Image),
    (label, tfds.features.ClassLabel),
  ):
    if key not in features or not isinstance(features[key], kind):
      raise UserError(
        f'data set {name!r} is not for image classification, or does not say'
        f' how: it needs supervised_keys of an image and a class label, and has'
        f' {builder.info.supervised_keys}'
      )
  dtype = np.dtype(features[image].np_dtype)
  if dtype != np.uint8:
    raise UserError(
      f'data set {name!r} has images of {dtype.name}; only uint8, from 0 to'
      ' 255, is supported: build it with such images'
    )
  return image, label


def _pair_of(keys: Any) -> tuple[str, str] | None:
  is_pair = isinstance(keys, tuple) and len(keys) == 2
  return keys if is_pair and all(isinstance(k, str) for k in keys) else None


def _only(kind: Any, features: Mapping[str, Any]) -> str:
  """Returns the only feature of a kind; an empty name if it is not one."""
  found = [key for key, each in features.items() if isinstance(each, kind)]
  return found[0] if len(found) == 1 else ''


def _check_shards(splits: Mapping[str, Any]) -> None:
  """Checks that no shard counts as empty that is not.

  TFDS leaves out shards of which its metadata says so.

  Raises:
    UserError: Names the shard.
  """
  for info in splits.values():
    for path, length in zip(info.filepaths, info.shard_lengths):
      is_empty = not os.path.exists(path) or not os.path.getsize(path)
      if length < 0 or (length == 0 and not is_empty):
        raise UserError(
          f'{path} counts as empty: dataset_info.json says that it holds'
          f' {count(length, "record")}; prepare the data set again'
        )

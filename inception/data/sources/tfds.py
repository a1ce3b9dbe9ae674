"""TFDS data sets, read as arrays of records instead of streams."""

from collections.abc import Callable
import contextlib
import io
import pathlib
from typing import Any

import ml_collections
import numpy as np

from inception.data.sources import digits, records
from inception.data.sources.source import Source, cached, read_all
from inception.data.tensorflow import tf, tfds
from inception.errors import UserError


def open_split(config: ml_collections.ConfigDict, split: str) -> Source:
  """Opens one split of a TFDS data set; builds the digits if they are missing.

  Args:
    config: `config.data`.
    split: Split in TFDS slicing syntax.

  Raises:
    UserError: The data set is not prepared, there is no such split, or a file
      is missing or damaged.
  """
  builder = _make_builder(config.dataset, config.data_dir)
  try:
    slices = [
      records.FileSlice(part.filename, part.skip, part.take)
      for part in builder.info.splits[split].file_instructions
    ]
  except (KeyError, ValueError, AssertionError) as error:
    raise UserError(
      f'no split {split!r} in {config.dataset}; it has'
      f' {", ".join(builder.info.splits)}'
    ) from error
  image, label = _image_and_label(builder)
  index = records.index_records(slices)
  if not len(index):
    raise UserError(f'split {split!r} of {config.dataset} holds no examples')
  return Source(
    name=f'{config.dataset} {split}',
    num_examples=len(index),
    classes=tuple(builder.info.features[label].names),
    load=_make_load(cached(index.read, config.cache_bytes), image, label),
    describe=index.describe,
    jpeg=builder.info.features[image].encoding_format == 'jpeg',
  )


def select_slice(split: str, base: str, count: int) -> np.ndarray:
  """Returns the int64 indices that a slice keeps.

  Args:
    split: Split in TFDS slicing syntax, such as 'train[:90%]'.
    base: Name of the whole split, such as 'train'.
    count: Number of examples in the whole split.

  Raises:
    UserError: The syntax is wrong, or the slice is empty.
  """
  try:
    info = tfds.core.SplitInfo(name=base, shard_lengths=[count], num_bytes=0)
    parts = tfds.core.ReadInstruction.from_spec(split).to_absolute({base: info})
  except (ValueError, AssertionError) as error:
    raise UserError(f'cannot parse the split {split!r}: {error}') from error
  ranges = [
    np.arange(part.from_ or 0, count if part.to is None else part.to)
    for part in parts
  ]
  chosen = np.concatenate(ranges)
  if not len(chosen):
    raise UserError(f'split {split!r} holds no examples')
  return chosen


def root(data_dir: str | None) -> pathlib.Path:
  """Returns the folder that holds data sets; None takes TFDS's own."""
  return pathlib.Path(data_dir or tfds.core.constants.DATA_DIR).expanduser()


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


def _make_builder(name: str, data_dir: str | None) -> Any:
  try:
    builder = tfds.builder(name, data_dir=data_dir)
  except (
    ValueError,
    AssertionError,
    tfds.core.registered.DatasetNotFoundError,
  ) as error:
    raise UserError(f'cannot open the data set {name!r}: {error}') from error
  if isinstance(builder, digits.Digits):
    _build_digits(builder)
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


def _build_digits(builder: digits.Digits) -> None:
  if builder.info.splits:
    return
  try:
    tfds.disable_progress_bar()
    # TFDS would report a download, but there is none.
    with contextlib.redirect_stdout(io.StringIO()):
      builder.download_and_prepare()
  except OSError as error:
    raise UserError(
      f'cannot write the digits to {builder.data_dir}: {error.strerror}; set'
      ' --config.data.data_dir'
    ) from error


def _image_and_label(builder: Any) -> tuple[str, str]:
  """Returns the names of the features that hold the image and its class."""
  keys = builder.info.supervised_keys
  features = builder.info.features
  if (
    keys is None
    or len(keys) != 2
    or not isinstance(features[keys[0]], tfds.features.Image)
    or not isinstance(features[keys[1]], tfds.features.ClassLabel)
  ):
    raise UserError(
      f'data set {builder.info.name!r} is not for image classification: it'
      ' has no pair of image and class label'
    )
  return keys[0], keys[1]

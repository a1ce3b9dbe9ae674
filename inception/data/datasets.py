"""Data sets by name: every one becomes a `Source`, an array of examples."""

from collections.abc import Callable
import contextlib
import dataclasses
import difflib
import io
import pathlib
import threading
from typing import Any

import ml_collections
import numpy as np

from inception.data import (
  digits,  # Makes TFDS know 'digits'.
  folder,
  records,
)
from inception.data.tensorflow import tf, tfds
from inception.errors import UserError

FAKE_EXAMPLES = 1_281_167  # As many as ImageNet has.
FAKE_CLASSES = 1000


@dataclasses.dataclass(frozen=True)
class Source:
  """One split of a data set, with random access.

  Attributes:
    name: data set and split, for messages.
    num_examples: how many there are.
    classes: name of each label.
    load: indices (int64 [n] tensor) to encoded images (string [n] tensor) and
      labels (int64 [n] tensor), within a tf.data graph.
    describe: names an example for a person.
    jpeg: all images should be JPEGs.
    fake: there are no images; batches are noise.
  """

  name: str
  num_examples: int
  classes: tuple[str, ...]
  load: Callable[[Any], tuple[Any, Any]]
  describe: Callable[[int], str]
  jpeg: bool = False
  fake: bool = False


def open_source(config: ml_collections.ConfigDict, split: str) -> Source:
  """Opens a split of the data set that a config names.

  Args:
    config: `config.data`.
    split: in TFDS slicing syntax.

  Raises:
    UserError: unknown data set or split, missing or damaged files.
  """
  if config.dataset == 'fake':
    return _open_fake()
  if config.dataset == 'folder':
    return _open_folder(config, split)
  return _open_tfds(config, split)


def read_all(read: Callable[[int], bytes], indices: np.ndarray) -> np.ndarray:
  """Reads some examples; returns an object array of bytes [n]."""
  encoded = np.empty(len(indices), object)
  for place, index in enumerate(indices):
    encoded[place] = read(int(index))
  return encoded


def cached(
  read: Callable[[int], bytes], cache_bytes: int
) -> Callable[[int], bytes]:
  """Returns a reader that keeps what it reads until `cache_bytes` are full.

  Nothing is thrown out again: in the random order of training every example is
  as likely to be next as any other.
  """
  if not cache_bytes:
    return read
  kept: dict[int, bytes] = {}
  free = cache_bytes
  lock = threading.Lock()

  def read_once(index: int) -> bytes:
    nonlocal free
    data = kept.get(index)
    if data is None:
      data = read(index)
      with lock:
        if index not in kept and len(data) <= free:
          kept[index] = data
          free -= len(data)
    return data

  return read_once


def _open_fake() -> Source:
  def load(indices: Any) -> Any:
    raise AssertionError(f'fake examples {indices} have no images')

  classes = tuple(f'class {label}' for label in range(FAKE_CLASSES))
  return Source('fake', FAKE_EXAMPLES, classes, load, str, fake=True)


def _open_folder(config: ml_collections.ConfigDict, split: str) -> Source:
  if not config.data_dir:
    raise UserError(
      'data.dataset=folder needs --config.data.data_dir=DIR, where images'
      ' lie in DIR/<split>/<class>/'
    )
  root = pathlib.Path(config.data_dir).expanduser()
  splits = folder.split_folders(root)
  base = split.split('[')[0]
  if base not in splits:
    raise UserError(
      f'no split {base!r} in {root}; its folders are'
      f' {", ".join(splits) or "none"}'
    )
  images = folder.list_images(root / base)
  chosen = _select(split, base, len(images.paths))
  paths = [images.paths[i] for i in chosen]
  labels = np.array(images.labels, np.int64)[chosen]

  # Made once, outside the graph, which would hold a copy of them.
  all_paths, all_labels = tf.constant(paths), tf.constant(labels)
  read = cached(
    lambda index: pathlib.Path(paths[index]).read_bytes(), config.cache_bytes
  )

  def load(indices: Any) -> tuple[Any, Any]:
    if config.cache_bytes:
      encoded = tf.numpy_function(
        lambda chosen: read_all(read, chosen),
        [indices],
        tf.string,
        stateful=False,
      )
    else:  # Python's threads would wait for each other.
      chosen = tf.unstack(tf.gather(all_paths, indices))
      encoded = tf.stack([tf.io.read_file(path) for path in chosen])
    return encoded, tf.gather(all_labels, indices)

  return Source(
    name=f'{root} {split}',
    num_examples=len(paths),
    classes=images.classes,
    load=load,
    describe=paths.__getitem__,
    jpeg=all(path.lower().endswith(('.jpg', '.jpeg')) for path in paths),
  )


def _select(split: str, base: str, count: int) -> np.ndarray:
  """Returns int64 indices that a sliced split keeps of `count` examples."""
  try:
    info = tfds.core.SplitInfo(name=base, shard_lengths=[count], num_bytes=0)
    parts = tfds.core.ReadInstruction.from_spec(split).to_absolute({base: info})
  except (ValueError, AssertionError) as error:
    raise UserError(f'split {split!r} is not understood: {error}') from error
  ranges = [
    np.arange(part.from_ or 0, count if part.to is None else part.to)
    for part in parts
  ]
  chosen = np.concatenate(ranges)
  if not len(chosen):
    raise UserError(f'split {split!r} holds no examples')
  return chosen


def _open_tfds(config: ml_collections.ConfigDict, split: str) -> Source:
  builder = _make_builder(config.dataset, config.data_dir)
  try:
    info = builder.info.splits[split]
    slices = [
      records.FileSlice(part.filename, part.skip, part.take)
      for part in info.file_instructions
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

  read = cached(index.read, config.cache_bytes)

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

  return Source(
    name=f'{config.dataset} {split}',
    num_examples=len(index),
    classes=tuple(builder.info.features[label].names),
    load=load,
    describe=index.describe,
    jpeg=builder.info.features[image].encoding_format == 'jpeg',
  )


def check_name(name: str, data_dir: str | None) -> None:
  """Checks that TFDS has a data set; TFDS would ask the network.

  Args:
    name: in TFDS, with or without version and config.
    data_dir: where data sets lie; None takes TFDS's own folder.

  Raises:
    UserError: there is none; names those with a similar name.
  """
  base = name.split(':')[0].split('/')[0]
  known = tfds.list_builders(with_community_datasets=False)
  root = pathlib.Path(data_dir or tfds.core.constants.DATA_DIR).expanduser()
  if base not in known and not (root / base).is_dir():
    close = difflib.get_close_matches(base, [*known, 'folder', 'fake'], 3)
    raise UserError(
      f'unknown data set {name!r}; it is no TFDS name, folder or fake, and not'
      f' in {root}' + (f'; did you mean {", ".join(close)}?' if close else '')
    )


def _make_builder(name: str, data_dir: str | None) -> Any:
  check_name(name, data_dir)
  try:
    builder = tfds.builder(name, data_dir=data_dir)
  except (
    ValueError,
    AssertionError,
    tfds.core.registered.DatasetNotFoundError,
  ) as error:
    raise UserError(f'data set {name!r} cannot be opened: {error}') from error
  if isinstance(builder, digits.Digits):
    _build_digits(builder)
  if not builder.info.splits:
    raise UserError(
      f'data set {name!r} is not prepared in {builder.data_dir}; prepare it'
      f' with: python -m inception.data.prepare --dataset={name.split(":")[0]},'
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
    # TFDS would speak of a download; there is none.
    with contextlib.redirect_stdout(io.StringIO()):
      builder.download_and_prepare()
  except OSError as error:
    raise UserError(
      f'cannot write the digits to {builder.data_dir}: {error.strerror}; set'
      ' --config.data.data_dir'
    ) from error


def _image_and_label(builder: Any) -> tuple[str, str]:
  """Returns the names of the features that are the image and its class."""
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

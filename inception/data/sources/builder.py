"""TFDS builders: lists data sets and checks that one can be read."""

from collections.abc import Mapping
import contextlib
import io
import os
from typing import Any

import numpy as np

from inception import paths
from inception.data.sources import digits
from inception.data.tensorflow import tf, tfds
from inception.errors import UserError, count, reason
from inception.files import file_lock


def root(data_dir: str | None) -> paths.Path:
  """Returns the folder that holds data sets; None means TFDS's default.

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
  """True if TFDS can build a data set, or other code has built it."""
  base = base_name(name)
  return base in names() or (root(data_dir) / base).is_dir()


def make_builder(name: str, data_dir: str | None) -> Any:
  """Returns TFDS's builder of a data set, which need not be prepared.

  Args:
    name: Name in TFDS, with or without version and config.
    data_dir: Folder that holds data sets; None means TFDS's default.

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
  # TFDS parses its JSON files without checks; a damaged one can raise anything.
  except Exception as error:
    raise UserError(
      f'cannot open the data set {name!r} in {folder}: {reason(error)}; if its'
      ' name is right, dataset_info.json or features.json is damaged: prepare'
      ' it again'
    ) from error
  return builder


def prepared_builder(name: str, data_dir: str | None) -> Any:
  """Returns the builder of a prepared data set; builds the digits if needed.

  Arguments are those of `make_builder`.

  Raises:
    UserError: The data set is not prepared, or not as TFRecords.
  """
  builder = make_builder(name, data_dir)
  if isinstance(builder, digits.Digits) and not builder.info.splits:
    builder = _build_digits(root(data_dir), builder)
  if not builder.info.splits:
    raise UserError(
      f'data set {name!r} is not prepared in {builder.data_dir}; run'
      f' python -m inception.data.prepare --dataset={name.split(":")[0]}, set'
      ' --config.data.data_dir, or use a folder of images with'
      ' --config.data.dataset=folder --config.data.data_dir=DIR'
    )
  if builder.info.file_format != tfds.core.FileFormat.TFRECORD:
    raise UserError(
      f'data set {name!r} is prepared as {builder.info.file_format.value};'
      ' prepare it as tfrecord'
    )
  return builder


def _build_digits(folder: paths.Path, builder: Any) -> Any:
  """Builds the digits; waits if another process is building them."""
  try:
    folder.mkdir(parents=True, exist_ok=True)
    with file_lock.locked(folder / '.digits.lock', wait=True):
      fresh = tfds.builder(builder.name, data_dir=str(folder))
      if not fresh.info.splits:
        tfds.disable_progress_bar()
        # TFDS would report a download, but nothing is downloaded.
        with contextlib.redirect_stdout(io.StringIO()):
          fresh.download_and_prepare()
  except (OSError, RuntimeError, tf.errors.OpError) as error:
    raise UserError(
      f'cannot write the digits to {builder.data_dir}: {reason(error)}; set'
      ' --config.data.data_dir'
    ) from error
  return fresh


def image_and_label(builder: Any) -> tuple[str, str]:
  """Returns the names of the features that hold the image and its class.

  Uses `supervised_keys`, or else the only image and the only class label.

  Raises:
    UserError: There are no such features, or the images are not 8-bit.
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
        f'data set {name!r} is not set up for image classification: its'
        f' supervised_keys must be an image and a class label, but are'
        f' {builder.info.supervised_keys}'
      )
  dtype = np.dtype(features[image].np_dtype)
  if dtype != np.uint8:
    raise UserError(
      f'data set {name!r} has images of {dtype.name}, but only uint8 (0 to'
      ' 255) is supported; build it again with uint8 images'
    )
  return image, label


def _pair_of(keys: Any) -> tuple[str, str] | None:
  is_pair = isinstance(keys, tuple) and len(keys) == 2
  return keys if is_pair and all(isinstance(k, str) for k in keys) else None


def _only(kind: Any, features: Mapping[str, Any]) -> str:
  """Returns the name of the only feature of a kind; '' if none or several."""
  found = [key for key, each in features.items() if isinstance(each, kind)]
  return found[0] if len(found) == 1 else ''


def check_shards(splits: Mapping[str, Any]) -> None:
  """Checks that shards without records, which TFDS skips, are empty files.

  Raises:
    UserError: A shard without records is not empty; names it.
  """
  for info in splits.values():
    for path, length in zip(info.filepaths, info.shard_lengths):
      is_empty = not os.path.exists(path) or not os.path.getsize(path)
      if length < 0 or (length == 0 and not is_empty):
        raise UserError(
          f'{path} is treated as empty: dataset_info.json lists'
          f' {count(length, "record")} for it; prepare the data set again'
        )

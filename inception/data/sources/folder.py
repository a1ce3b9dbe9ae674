"""A folder of images: <root>/<split>/<class>/<image>.

Splits are folders and take TFDS slicing syntax. The order of the images follows
from their names alone and mixes the classes, so 'train[:90%]' holds about 90 %
of every class.
"""

from collections.abc import Callable, Sequence
import concurrent.futures
import dataclasses
import functools
import hashlib
import os
from typing import Any

import ml_collections
import numpy as np

from inception import paths
from inception.data.sources import tfds
from inception.data.sources.source import (
  PERMANENT,
  Source,
  cached,
  read_all,
  retry,
)
from inception.data.tensorflow import tf
from inception.errors import UserError

# First bytes of the formats that TensorFlow decodes.
_SIGNATURES = (b'\xff\xd8\xff', b'\x89PNG\r\n\x1a\n', b'GIF8', b'BM')
_THREADS = 16  # Opening files on a network disk is mostly waiting.


@dataclasses.dataclass(frozen=True)
class ImageList:
  """Images of one split.

  Attributes:
    files: Path of each image.
    sizes: Size of each image in bytes.
    labels: Index into `classes` of each image.
    classes: Names of the class folders.
  """

  files: tuple[str, ...]
  sizes: tuple[int, ...]
  labels: tuple[int, ...]
  classes: tuple[str, ...]


def open_split(config: ml_collections.ConfigDict, split: str) -> Source:
  """Opens one split of a folder of images.

  Args:
    config: `config.data`.
    split: Name of the split's folder, with or without a slice in TFDS syntax.

  Raises:
    UserError: The folder or split does not exist, or holds something else.
  """
  if config.data_dir is None:
    raise UserError(
      'data.dataset=folder needs --config.data.data_dir=DIR, with images in'
      ' DIR/<split>/<class>/'
    )
  root = paths.resolve(config.data_dir, '--config.data.data_dir')
  splits = split_folders(root)
  base = split.split('[')[0]
  if base not in splits:
    raise UserError(
      f'no split {base!r} in {root}; it has {", ".join(splits) or "none"}'
    )
  images = list_images(root / base, config.retry_seconds)
  ranges = tfds.select_slice(split, base, len(images.files))
  chosen = [i for part in ranges for i in range(part.first, part.end)]
  files = [images.files[i] for i in chosen]
  labels = np.array(images.labels, np.int64)[chosen]
  digest = hashlib.blake2b(digest_size=16)
  for i in chosen:
    name = images.files[i].removeprefix(str(root))
    digest.update(f'{name} {images.sizes[i]}\0'.encode())

  def read(index: int) -> bytes:
    with open(files[index], 'rb') as file:
      return file.read()

  return Source(
    name=f'{root} {split}',
    num_examples=len(files),
    classes=images.classes,
    load=_make_load(files, labels, read, config.cache_bytes),
    read=read,
    describe=files.__getitem__,
    digest=digest.hexdigest(),
    ranges=ranges,
    jpeg=all(path.lower().endswith(('.jpg', '.jpeg')) for path in files),
  )


def list_images(split: paths.Path, retry_seconds: float = 0.0) -> ImageList:
  """Lists the images in the class folders of a split, without hidden files.

  Args:
    split: Folder of the split.
    retry_seconds: How long to try to read a file again.

  Raises:
    UserError: A folder is missing or empty, or a file is not an image.
  """
  classes = tuple(sorted(path.name for path in _folders(split)))
  if not classes:
    raise UserError(
      f'{split} has no class folders; images must be in <split>/<class>/'
    )
  rows = []
  for label, name in enumerate(classes):
    files = sorted(
      path
      for path in (split / name).iterdir()
      if path.is_file() and not path.name.startswith('.')
    )
    if not files:
      raise UserError(
        f'class folder {split / name} is empty; add images or remove it'
      )
    rows += [(_hash(f'{name}/{path.name}'), str(path), label) for path in files]
  rows.sort()
  images = tuple(path for _, path, _ in rows)
  sizes = _check_images(split, images, retry_seconds)
  labels = tuple(label for _, _, label in rows)
  return ImageList(images, sizes, labels, classes)


def split_folders(root: paths.Path) -> list[str]:
  """Returns the names of the splits in a folder of images.

  Raises:
    UserError: There is no such folder.
  """
  if not root.is_dir():
    raise UserError(
      f'no folder {root}; set --config.data.data_dir to a folder that holds'
      ' <split>/<class>/'
    )
  return sorted(path.name for path in _folders(root))


def _make_load(
  files: Sequence[str],
  labels: np.ndarray,
  read: Callable[[int], bytes],
  cache_bytes: int,
) -> Callable[[Any], tuple[Any, Any]]:
  # Made once, outside the graph, which would otherwise hold a copy of each.
  all_files, all_labels = tf.constant(files), tf.constant(labels)
  read = cached(read, cache_bytes)

  def load(indices: Any) -> tuple[Any, Any]:
    if cache_bytes:
      encoded = tf.numpy_function(
        lambda chosen: read_all(read, chosen),
        [indices],
        tf.string,
        stateful=False,
      )
    else:  # TensorFlow reads in parallel; the GIL would serialize Python.
      chosen = tf.unstack(tf.gather(all_files, indices))
      encoded = tf.stack([tf.io.read_file(path) for path in chosen])
    return encoded, tf.gather(all_labels, indices)

  return load


def _folders(path: paths.Path) -> list[paths.Path]:
  return [
    entry
    for entry in path.iterdir()
    if entry.is_dir() and not entry.name.startswith('.')
  ]


def _hash(name: str) -> bytes:
  return hashlib.blake2b(name.encode(), digest_size=8).digest()


def _check_images(
  split: paths.Path, files: tuple[str, ...], retry_seconds: float
) -> tuple[int, ...]:
  """Returns the sizes of image files in bytes."""

  def look_at(path: str) -> tuple[bool, int]:
    look = functools.partial(_look_at, path)
    return retry(look, path, retry_seconds, PERMANENT)

  with concurrent.futures.ThreadPoolExecutor(_THREADS) as threads:
    found = list(threads.map(look_at, files))
  bad = [path for path, (good, _) in zip(files, found) if not good]
  if bad:
    names = ', '.join(bad[:3]) + (', ...' if len(bad) > 3 else '')
    raise UserError(
      f'{len(bad)} of {len(files)} files in {split} are not JPEG, PNG, GIF or'
      f' BMP images: {names}; remove or convert them'
    )
  return tuple(size for _, size in found)


def _look_at(path: str) -> tuple[bool, int]:
  """Returns whether a file begins as an image does, and its size in bytes."""
  with open(path, 'rb', buffering=0) as file:
    size = os.fstat(file.fileno()).st_size
    return file.read(8).startswith(_SIGNATURES), size

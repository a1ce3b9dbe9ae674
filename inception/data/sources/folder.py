"""A folder of images: <root>/<split>/<class>/<image>.

Splits are folders and take TFDS slicing syntax. The order of the images depends
only on their names and mixes the classes, so 'train[:90%]' holds about 90 %
of every class. In a folder without splits, <root>/<class>/<image>, the only
split is 'images'.
"""

from collections.abc import Callable, Sequence
import functools
import hashlib
import os
from typing import Any

import ml_collections
import numpy as np

from inception import paths
from inception.data.pixels import signature
from inception.data.sources import listing, tfds
from inception.data.sources.source import Source, cached, read_in_graph
from inception.data.tensorflow import tf
from inception.errors import UserError

# The only split of a folder without split folders.
WHOLE = ['images']
# Names that splits usually have.
_SPLITS = frozenset({'train', 'training', 'val', 'valid', 'validation', 'test'})


def open_split(config: ml_collections.ConfigDict, split: str) -> Source:
  """Opens one split of a folder of images.

  Args:
    config: `config.data`.
    split: Name of the split's folder, with or without a slice in TFDS syntax.

  Raises:
    UserError: The folder or split does not exist, or does not hold images.
  """
  if config.data_dir is None:
    raise UserError(
      'data.dataset=folder needs --config.data.data_dir=DIR, with images in'
      ' DIR/<split>/<class>/'
    )
  root = paths.resolve(config.data_dir, '--config.data.data_dir')
  base = split.split('[')[0]
  images = listing.list_split(
    split_folder(root, base), config.max_broken, config.retry_seconds
  )
  ranges = tfds.select_slice(split, base, len(images.files))
  chosen = [i for part in ranges for i in range(part.first, part.end)]
  files = [images.files[i] for i in chosen]
  labels = np.array(images.labels, np.int64)[chosen]
  digest = hashlib.blake2b(digest_size=16)
  for i in chosen:
    name = images.files[i].removeprefix(str(root))
    digest.update(os.fsencode(f'{name} {images.sizes[i]}\0'))

  read = functools.partial(_read, files)
  return Source(
    name=f'{root} {split}',
    num_examples=len(files),
    classes=images.classes,
    load=_make_load(files, labels, read, config.cache_bytes),
    read=read,
    describe=files.__getitem__,
    digest=digest.hexdigest(),
    ranges=ranges,
    labels=labels,
    jpeg=images.jpeg,
    file_name=files.__getitem__,
  )


def open_files(files: Sequence[str]) -> Source:
  """Returns a source of unlabeled image files, given their paths."""
  read = functools.partial(_read, files)
  return Source(
    name='files',
    num_examples=len(files),
    classes=('',),
    load=_make_load(files, np.zeros(len(files), np.int64), read, 0),
    read=read,
    describe=files.__getitem__,
    digest='',
    ranges=(),
  )


def _read(files: Sequence[str], index: int) -> bytes:
  with paths.open_file(files[index]) as file:
    return file.read()


def split_names(root: paths.Path) -> list[str]:
  """Returns the names of the splits of a folder of images.

  A folder of classes has one split.

  Raises:
    UserError: There is no such folder.
  """
  if not root.is_dir():
    raise UserError(
      f'no folder {root}; set --config.data.data_dir to a folder that holds'
      ' <split>/<class>/'
    )
  return WHOLE if _is_whole(root) else _folder_names(root)


def _folder_names(root: paths.Path) -> list[str]:
  return [path.name for path in listing.folders(root)]


def _is_whole(root: paths.Path) -> bool:
  """True if the folders in a folder are classes, not splits.

  They are if more of them hold images than hold folders. On a tie, their names
  decide.
  """
  with_images = with_folders = 0
  for child in listing.folders(root):
    with_folders += bool(listing.folders(child))
    with_images += any(
      signature.is_supported_name(path.name) for path in paths.entries(child)
    )
  if with_images == with_folders:
    names = {name.lower() for name in _folder_names(root)}
    return with_images > 0 and not names & _SPLITS
  return with_images > with_folders


def split_folder(root: paths.Path, split: str) -> paths.Path:
  """Returns the folder of a whole split.

  Raises:
    UserError: There is no such split.
  """
  splits = split_names(root)
  whole = splits == WHOLE
  if split in splits:
    return root if whole else root / split
  hint = (
    ', which are classes, so the only split is images; train on images[:80%]'
    ' and evaluate on images[80%:] (--config.data.train_split and'
    ' --config.data.eval_split; --split for eval.py)'
  )
  raise UserError(
    f'no split {split!r} in {root}; it has'
    f' {", ".join(_folder_names(root)) or "none"}' + (hint if whole else '')
  )


def _make_load(
  files: Sequence[str],
  labels: np.ndarray,
  read: Callable[[int], bytes],
  cache_bytes: int,
) -> Callable[[Any], tuple[Any, Any]]:
  # Made once, outside the graph, which would otherwise hold a copy of each.
  # File names may not be valid UTF-8.
  all_files = tf.constant([os.fsencode(file) for file in files])
  all_labels = tf.constant(labels)
  read = cached(read, cache_bytes)

  def load(indices: Any) -> tuple[Any, Any]:
    if cache_bytes:
      encoded = read_in_graph(read, indices)
    else:  # TensorFlow reads in parallel; the GIL would serialize Python.
      chosen = tf.unstack(tf.gather(all_files, indices))
      encoded = tf.stack([tf.io.read_file(path) for path in chosen])
    return encoded, tf.gather(all_labels, indices)

  return load

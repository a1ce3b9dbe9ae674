"""A folder of images: <root>/<split>/<class>/<image>.

Splits are folders and take TFDS slicing syntax. The order of the images follows
from their names alone and mixes the classes, so 'train[:90%]' holds about 90 %
of every class.
"""

from collections.abc import Callable, Sequence
import concurrent.futures
import dataclasses
import hashlib
import pathlib
from typing import Any

import ml_collections
import numpy as np

from inception.data.sources import tfds
from inception.data.sources.source import Source, cached, read_all
from inception.data.tensorflow import tf
from inception.errors import UserError

# First bytes of the formats that TensorFlow decodes.
_SIGNATURES = (b'\xff\xd8\xff', b'\x89PNG\r\n\x1a\n', b'GIF8', b'BM')
_THREADS = 16  # Opening files on a network disk is mostly waiting.


@dataclasses.dataclass(frozen=True)
class ImageList:
  """Images of one split; `labels[i]` is the index into `classes` of image i."""

  paths: tuple[str, ...]
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
  if not config.data_dir:
    raise UserError(
      'data.dataset=folder needs --config.data.data_dir=DIR, with images in'
      ' DIR/<split>/<class>/'
    )
  root = pathlib.Path(config.data_dir).expanduser()
  splits = split_folders(root)
  base = split.split('[')[0]
  if base not in splits:
    raise UserError(
      f'no split {base!r} in {root}; it has {", ".join(splits) or "none"}'
    )
  images = list_images(root / base)
  chosen = tfds.select_slice(split, base, len(images.paths))
  paths = [images.paths[i] for i in chosen]
  labels = np.array(images.labels, np.int64)[chosen]
  return Source(
    name=f'{root} {split}',
    num_examples=len(paths),
    classes=images.classes,
    load=_make_load(paths, labels, config.cache_bytes),
    describe=paths.__getitem__,
    jpeg=all(path.lower().endswith(('.jpg', '.jpeg')) for path in paths),
  )


def list_images(split: pathlib.Path) -> ImageList:
  """Lists the images in the class folders of a split, without hidden files.

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
  paths = tuple(path for _, path, _ in rows)
  _check_images(split, paths)
  return ImageList(paths, tuple(label for _, _, label in rows), classes)


def split_folders(root: pathlib.Path) -> list[str]:
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
  paths: Sequence[str], labels: np.ndarray, cache_bytes: int
) -> Callable[[Any], tuple[Any, Any]]:
  # Made once, outside the graph, which would otherwise hold a copy of each.
  all_paths, all_labels = tf.constant(paths), tf.constant(labels)
  read = cached(lambda i: pathlib.Path(paths[i]).read_bytes(), cache_bytes)

  def load(indices: Any) -> tuple[Any, Any]:
    if cache_bytes:
      encoded = tf.numpy_function(
        lambda chosen: read_all(read, chosen),
        [indices],
        tf.string,
        stateful=False,
      )
    else:  # TensorFlow reads in parallel; the GIL would serialize Python.
      chosen = tf.unstack(tf.gather(all_paths, indices))
      encoded = tf.stack([tf.io.read_file(path) for path in chosen])
    return encoded, tf.gather(all_labels, indices)

  return load


def _folders(path: pathlib.Path) -> list[pathlib.Path]:
  return [
    entry
    for entry in path.iterdir()
    if entry.is_dir() and not entry.name.startswith('.')
  ]


def _hash(name: str) -> bytes:
  return hashlib.blake2b(name.encode(), digest_size=8).digest()


def _check_images(split: pathlib.Path, paths: tuple[str, ...]) -> None:
  with concurrent.futures.ThreadPoolExecutor(_THREADS) as threads:
    good = list(threads.map(_is_image, paths))
  bad = [path for path, image in zip(paths, good) if not image]
  if bad:
    names = ', '.join(bad[:3]) + (', ...' if len(bad) > 3 else '')
    raise UserError(
      f'{len(bad)} of {len(paths)} files in {split} are not JPEG, PNG, GIF or'
      f' BMP images: {names}; remove or convert them'
    )


def _is_image(path: str) -> bool:
  try:
    with open(path, 'rb', buffering=0) as file:
      return file.read(8).startswith(_SIGNATURES)
  except OSError as error:
    raise UserError(f'cannot read {path}: {error.strerror}') from error

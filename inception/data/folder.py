"""A folder of images: <root>/<split>/<class>/<image>.

Splits are folders and take TFDS slicing syntax. Images are in an order that
follows from their names alone and mixes the classes, so that 'train[:90%]' is
nine tenths of every class, more or less.
"""

import concurrent.futures
import dataclasses
import hashlib
import pathlib

from inception.errors import UserError

# First bytes of the formats that TensorFlow decodes.
_SIGNATURES = (b'\xff\xd8\xff', b'\x89PNG\r\n\x1a\n', b'GIF8', b'BM')


@dataclasses.dataclass(frozen=True)
class ImageList:
  """Images of one split; `labels[i]` is the index into `classes` of image i."""

  paths: tuple[str, ...]
  labels: tuple[int, ...]
  classes: tuple[str, ...]


def list_images(split: pathlib.Path) -> ImageList:
  """Lists the images below the class folders of a split.

  Hidden files are left out.

  Raises:
    UserError: the folder is missing, a class is empty, a file is no image.
  """
  classes = tuple(sorted(path.name for path in _folders(split)))
  if not classes:
    raise UserError(
      f'{split} holds no class folders; images lie in <split>/<class>/'
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
    rows += [(_mix(f'{name}/{path.name}'), str(path), label) for path in files]
  rows.sort()
  paths = tuple(path for _, path, _ in rows)
  _check_images(split, paths)
  return ImageList(paths, tuple(label for _, _, label in rows), classes)


def split_folders(root: pathlib.Path) -> list[str]:
  """Returns the names of the splits in a folder of images.

  Raises:
    UserError: there is no such folder.
  """
  if not root.is_dir():
    raise UserError(
      f'no folder {root}; set --config.data.data_dir to a folder with'
      ' <split>/<class>/ below it'
    )
  return sorted(path.name for path in _folders(root))


def _folders(path: pathlib.Path) -> list[pathlib.Path]:
  return [
    entry
    for entry in path.iterdir()
    if entry.is_dir() and not entry.name.startswith('.')
  ]


def _mix(name: str) -> bytes:
  return hashlib.blake2b(name.encode(), digest_size=8).digest()


def _check_images(split: pathlib.Path, paths: tuple[str, ...]) -> None:
  with concurrent.futures.ThreadPoolExecutor(16) as threads:
    good = list(threads.map(_is_image, paths))
  bad = [path for path, image in zip(paths, good) if not image]
  if bad:
    names = ', '.join(bad[:3]) + (', ...' if len(bad) > 3 else '')
    raise UserError(
      f'{len(bad)} of {len(paths)} files below {split} are not JPEG, PNG, GIF'
      f' or BMP images: {names}; remove or convert them'
    )


def _is_image(path: str) -> bool:
  try:
    with open(path, 'rb', buffering=0) as file:
      return file.read(8).startswith(_SIGNATURES)
  except OSError as error:
    raise UserError(f'cannot read {path}: {error.strerror}') from error

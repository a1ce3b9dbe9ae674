"""Images on disk, decoded as other evaluators decode them: by Pillow, to RGB.

EXIF orientation is ignored, transparency is dropped, gray is repeated, and
palettes and CMYK are converted.
"""

import collections
from collections.abc import Callable, Iterator, Sequence
import concurrent.futures
import dataclasses
import io
import itertools
import os
import re
from typing import Any
import zipfile

import numpy as np
from PIL import Image

from inception import paths
from inception.errors import UserError, reason
from inception.generative.array_files import ArrayFile

# As in pytorch-fid, and GIF.
_SUFFIXES = frozenset(
  {'.bmp', '.gif', '.jpeg', '.jpg', '.pgm', '.png', '.ppm', '.tif', '.tiff',
   '.webp'}
)  # fmt: skip
_JPEGS = frozenset({'.jpeg', '.jpg'})

_AT_A_TIME = 64  # Images of an array.
_AHEAD = 4  # Images that are decoded ahead by each thread.
_THREADS = os.cpu_count() or 1  # Pillow decodes outside Python's lock.


@dataclasses.dataclass(frozen=True)
class ImageSet:
  """Images on disk.

  Attributes:
    name: Its path, for messages.
    count: Number of images.
    images: Yields those of some indices in order, uint8 [height, width, 3].
    is_jpeg: All are JPEGs; None if unknown, as of arrays.
    skipped: Files beside them whose names do not end as a picture's.
  """

  name: str
  count: int
  images: Callable[[range], Iterator[np.ndarray]]
  is_jpeg: bool | None = None
  skipped: Sequence[str] = ()


def open_images(where: paths.PathLike, data_dir: str | None = None) -> ImageSet:
  """Opens a folder, a zip archive, an array or a split of a TFDS data set.

  Args:
    where: A folder of pictures, searched with its sub-folders in the order of
      the paths; a .zip file of pictures; an .npy or .npz file of uint8 [images,
      height, width, 3 or 1]; or tfds:NAME:SPLIT.
    data_dir: Folder of TFDS data sets; None: its default.

  Raises:
    UserError: It does not exist, or holds no images.
  """
  where = os.fspath(where)
  if where.startswith('tfds:'):
    return _tfds(where, data_dir)
  path = paths.resolve(where)
  if path.is_dir():
    return _folder(path)
  if not paths.exists(path):
    raise UserError(f'{where} does not exist')
  match path.suffix.lower():
    case '.zip':
      return _archive(path)
    case '.npy' | '.npz':
      return _array(path)
  raise UserError(
    f'{where} is neither a folder of pictures nor a .zip, .npz or .npy file'
  )


def cropped(pictures: ImageSet, side: int) -> ImageSet:
  """Returns an image set whose images are cropped; see `adm_crop`."""

  def images(indices: range) -> Iterator[np.ndarray]:
    return (adm_crop(image, side) for image in pictures.images(indices))

  return dataclasses.replace(pictures, images=images)


def adm_crop(image: np.ndarray, side: int) -> np.ndarray:
  """Crops the central square as ADM does for its training and references.

  Halves the image by a box filter while its short side is at least twice
  `side`, then resizes that to `side` by a bicubic filter.

  Args:
    image: uint8 [height, width, 3].
    side: Height and width of the result in pixels.
  """
  picture = Image.fromarray(image)
  while min(picture.size) >= 2 * side:
    width, height = picture.size
    picture = picture.resize((width // 2, height // 2), Image.Resampling.BOX)
  scale = side / min(picture.size)
  width, height = (round(length * scale) for length in picture.size)
  pixels = np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC))
  top, left = (height - side) // 2, (width - side) // 2
  return pixels[top : top + side, left : left + side]


def decode(content: bytes) -> np.ndarray:
  """Returns uint8 [height, width, 3]; raises Pillow's errors."""
  with Image.open(io.BytesIO(content)) as picture:
    return np.asarray(picture.convert('RGB'))


def _folder(path: paths.Path) -> ImageSet:
  found: list[str] = []
  visited: set[str] = set()
  for folder, folders, files in paths.walk(path):
    # A link to a folder above would be followed without end.
    if os.path.realpath(folder) in visited:
      folders.clear()
      continue
    folders[:] = [name for name in folders if not name.startswith('.')]
    visited.add(os.path.realpath(folder))
    found += [os.path.join(folder, name) for name in files]
  return _of_files(str(path), found, paths.read_bytes)


def _archive(path: paths.Path) -> ImageSet:
  try:
    archive = zipfile.ZipFile(path)
  except (OSError, zipfile.BadZipFile) as error:
    raise UserError(f'cannot read {path}: {reason(error)}') from error
  found = [entry.filename for entry in archive.infolist() if not entry.is_dir()]
  return _of_files(str(path), found, archive.read)


def _of_files(
  where: str, found: Sequence[str], read: Callable[[str], bytes]
) -> ImageSet:
  # Hidden ones, such as those of file managers, are no one's data.
  found = sorted(x for x in found if not os.path.basename(x).startswith('.'))
  suffix_of = {name: os.path.splitext(name)[1].lower() for name in found}
  names = [name for name, suffix in suffix_of.items() if suffix in _SUFFIXES]
  skipped = [name for name in found if suffix_of[name] not in _SUFFIXES]
  if not names:
    raise UserError(f'{where} holds no pictures')

  def images(indices: range) -> Iterator[np.ndarray]:
    """Decodes ahead, a few images per thread."""
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
      waiting: collections.deque[Any] = collections.deque()
      for index in indices:
        waiting.append(pool.submit(_read, where, names[index], read))
        if len(waiting) > _AHEAD * _THREADS:
          yield waiting.popleft().result()
      while waiting:
        yield waiting.popleft().result()

  is_jpeg = all(suffix_of[name] in _JPEGS for name in names)
  return ImageSet(where, len(names), images, is_jpeg, skipped)


def _read(where: str, name: str, read: Callable[[str], bytes]) -> np.ndarray:
  try:
    return decode(read(name))
  # Pillow's decoders raise many kinds of errors.
  except Exception as error:
    raise UserError(
      f'{name} in {where} is not a picture that Pillow can read'
      f'{_why(error)}; remove or replace it'
    ) from error


def _why(error: Exception) -> str:
  """Returns the cause, unless it only names an object in memory."""
  text = reason(error)
  return '' if '<_io' in text else f': {text}'


def _array(path: paths.Path) -> ImageSet:
  array = ArrayFile(path)
  shape, dtype = array.shape, array.dtype
  if dtype != np.uint8 or len(shape) != 4 or shape[-1] not in (1, 3):
    raise UserError(
      f'{path} holds {dtype} {shape}; images are uint8 [images, height, width,'
      ' 3 or 1]'
    )
  if not all(shape):
    raise UserError(f'{path} is {shape}: it holds no images')

  def images(indices: range) -> Iterator[np.ndarray]:
    first = 0
    for part in array.rows(_AT_A_TIME):
      for index in range(first, first + len(part)):
        if index in indices:
          image = part[index - first]
          yield np.broadcast_to(image, (*image.shape[:-1], 3))
      first += len(part)
      if first >= indices.stop:
        return

  return ImageSet(str(path), shape[0], images)


def _tfds(where: str, data_dir: str | None) -> ImageSet:
  """Opens tfds:NAME:SPLIT."""
  parts = re.fullmatch(r'tfds:([^:]+(?::[\d.*]+)?):([^:].*)', where)
  if parts is None:
    raise UserError(
      f'{where} is not tfds:NAME:SPLIT, such as tfds:cifar10:test'
    )
  # Imports TensorFlow.
  from inception.config import default
  from inception.data.sources import catalog

  config = default.get_config().data
  config.dataset, split = parts.groups()
  config.data_dir = data_dir
  source = catalog.open_source(config, split)

  def images(indices: range) -> Iterator[np.ndarray]:
    for some in itertools.batched(indices, _AT_A_TIME):
      encoded, _ = source.load(np.array(some))
      yield from map(decode, encoded.numpy())

  return ImageSet(where, source.num_examples, images, source.jpeg)

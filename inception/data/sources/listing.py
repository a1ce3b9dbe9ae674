"""The image files of a folder, and what else is in it.

People's folders hold more than images. Nothing in them is dropped without a
word: what is left out is counted and named.
"""

from collections.abc import Iterable, Iterator
import concurrent.futures
import dataclasses
import functools
import hashlib
import os

from inception import paths
from inception.data.pixels import signature
from inception.errors import UserError, are, count, some, warn
from inception.files.retry import PERMANENT, retry
from inception.processes import distributed

_THREADS = 16  # Opening files on a network disk is mostly waiting.

# What operating systems and archivers leave behind; in lower case.
_LEFT_BEHIND = frozenset({'thumbs.db', 'desktop.ini', '__macosx'})


@dataclasses.dataclass(frozen=True)
class ImageList:
  """Images of one split.

  Attributes:
    files: Path of each image.
    sizes: Size of each image in bytes.
    labels: Index into `classes` of each image.
    classes: Names of the class folders that hold images.
    nested: Images in sub-folders of a class folder.
    loose: Images in no class folder.
    empty: Class folders without images.
    no_images: Files that are not images.
    dead_links: Links to files that do not exist.
    jpeg: All images are JPEGs.
  """

  files: tuple[str, ...]
  sizes: tuple[int, ...]
  labels: tuple[int, ...]
  classes: tuple[str, ...]
  nested: int
  loose: tuple[str, ...]
  empty: tuple[str, ...]
  no_images: tuple[str, ...]
  dead_links: tuple[str, ...]
  jpeg: bool

  def describe_oddities(self) -> str:
    """Returns what is odd about the folder as a phrase; empty if nothing is."""
    skipped = (
      ('class without images', 'classes without images', self.empty),
      (
        'file that is not an image',
        'files that are not images',
        self.no_images,
      ),
      ('dead link', 'dead links', self.dead_links),
      ('image in no class', 'images in no class', self.loose),
    )
    phrases = [
      f'skipped {len(names):,} {one if len(names) == 1 else several}'
      f' ({some(names)})'
      for one, several, names in skipped
      if names
    ]
    if self.nested:
      phrases.append(
        f'{count(self.nested, "image")} in sub-folders of their class'
      )
    return '; '.join(phrases)


@dataclasses.dataclass(frozen=True)
class _File:
  path: str
  size: int
  is_image: bool
  is_jpeg: bool


def list_split(
  split: paths.Path, max_broken: float, retry_seconds: float
) -> ImageList:
  """Lists the images of a split, and warns about what else is there.

  Args:
    split: Folder of the split.
    max_broken: Fraction of the files that may be no images.
    retry_seconds: How long to try to read a file again.

  Raises:
    UserError: There are no images, or too many files are none.
  """
  images = list_images(split, retry_seconds)
  total = len(images.files) + len(images.no_images)
  if len(images.no_images) > max_broken * total:
    raise UserError(
      f'{len(images.no_images)} of {total} files in {split}'
      f' {are(len(images.no_images))} not of {signature.SUPPORTED}:'
      f' {some(images.no_images)}; remove or convert them, or raise'
      ' --config.data.max_broken'
    )
  if not images.files:
    raise UserError(
      f'{split} has no images in class folders; they must be in'
      ' <split>/<class>/'
    )
  oddities = images.describe_oddities()
  if oddities and distributed.is_first():
    warn(f'{split}: {oddities}')
  return images


def list_images(split: paths.Path, retry_seconds: float = 0.0) -> ImageList:
  """Lists the images in the class folders of a split, and their sub-folders.

  The order mixes the classes and follows from the names alone.

  Args:
    split: Folder of the split.
    retry_seconds: How long to try to read a file again.

  Raises:
    UserError: A file cannot be read.
  """
  found: list[tuple[bytes, str, str]] = []  # Hash, path, class.
  here = paths.entries(split)
  dead_links = [
    entry.name
    for entry in here
    if not _is_hidden(entry.name) and not entry.exists()
  ]
  special = []  # Pipes and devices.
  names = [path.name for path in folders(split)]
  for name in names:
    for path in _walk(os.path.join(split, name)):
      inside = os.path.relpath(path, split)
      if not os.path.exists(path):
        dead_links.append(inside)
      elif os.path.isfile(path):
        found.append((_hash(inside), path, name))
      else:
        special.append(inside)
  found.sort()
  looked = _look_at_all([path for _, path, _ in found], retry_seconds)
  images = [(f, name) for f, (_, _, name) in zip(looked, found) if f.is_image]
  classes = in_order({name for _, name in images})
  label_of = {name: label for label, name in enumerate(classes)}
  depth = os.path.join(split, '').count(os.sep)
  return ImageList(
    files=tuple(file.path for file, _ in images),
    sizes=tuple(file.size for file, _ in images),
    labels=tuple(label_of[name] for _, name in images),
    classes=classes,
    nested=sum(os.path.dirname(f.path).count(os.sep) > depth for f in looked),
    loose=tuple(
      entry.name
      for entry in here
      if signature.is_supported_name(entry.name) and entry.is_file()
    ),
    empty=tuple(sorted(set(names) - set(classes))),
    no_images=(
      *(os.path.relpath(f.path, split) for f in looked if not f.is_image),
      *special,
    ),
    dead_links=tuple(dead_links),
    jpeg=all(file.is_jpeg for file, _ in images),
  )


def in_order(names: Iterable[str]) -> tuple[str, ...]:
  """Returns the names of classes in the order of their labels.

  Names that are all the integers from 0 are ordered as numbers: '2' is class 2,
  also where there is a '10'.
  """
  ordered = sorted(names)
  numbers = [str(i) for i in range(len(ordered))]
  return tuple(numbers if ordered == sorted(numbers) else ordered)


def image_files(folder: str) -> list[str]:
  """Returns the files of a folder and its sub-folders that should be images.

  Those that begin or are named as images do; the others are counted in a
  warning.
  """
  found = [path for path in _walk(folder) if not os.path.isdir(path)]
  # A dead link is not an image, but was meant as one.
  files = [path for path in found if os.path.isfile(path)]
  dead = {path for path in found if not os.path.exists(path)}
  looked = _look_at_all(files, 0.0)
  chosen = [
    file.path
    for file in looked
    if file.is_image or signature.is_supported_name(file.path)
  ]
  others = sorted(set(files) - set(chosen))
  chosen = sorted([*chosen, *dead])
  if others and chosen:
    names = tuple(os.path.relpath(path, folder) for path in others)
    warn(
      f'{folder}: skipped {count(len(names), "file")} not of'
      f' {signature.SUPPORTED} ({some(names)})'
    )
  return chosen


def folders(path: paths.Path) -> list[paths.Path]:
  """Returns the folders in a folder that people have made, in order."""
  entries = [e for e in paths.entries(path) if not _is_hidden(e.name)]
  return [entry for entry in entries if entry.is_dir()]


def _walk(folder: str) -> Iterator[str]:
  """Yields everything but folders and hidden files, in sub-folders too."""
  seen = set()
  for parent, children, names in paths.walk(folder):
    # A link may lead back to a folder above it.
    seen.add(os.path.realpath(parent))
    children[:] = [
      child
      for child in sorted(children)
      if not _is_hidden(child)
      and os.path.realpath(os.path.join(parent, child)) not in seen
    ]
    for name in sorted(names):
      if not _is_hidden(name):
        yield os.path.join(parent, name)


def _is_hidden(name: str) -> bool:
  return name.startswith('.') or name.lower() in _LEFT_BEHIND


def _hash(name: str) -> bytes:
  return hashlib.blake2b(os.fsencode(name), digest_size=8).digest()


def _look_at_all(files: list[str], retry_seconds: float) -> list[_File]:
  def look_at(path: str) -> _File:
    look = functools.partial(_look_at, path)
    return retry(look, path, retry_seconds, PERMANENT)

  with concurrent.futures.ThreadPoolExecutor(_THREADS) as threads:
    return list(threads.map(look_at, files))


def _look_at(path: str) -> _File:
  with open(path, 'rb', buffering=0) as file:
    head = file.read(16)
    size = os.fstat(file.fileno()).st_size
  return _File(
    path, size, signature.is_supported(head), signature.is_jpeg(head)
  )

"""Lists the image files in a folder; counts and reports skipped files."""

from collections.abc import Iterable, Iterator
import concurrent.futures
import dataclasses
import functools
import hashlib
import os

from inception import paths
from inception.data import class_names
from inception.data.pixels import signature
from inception.errors import UserError, are, count, some, warn
from inception.files.retry import PERMANENT, retry
from inception.processes import distributed

_THREADS = 16  # Opening files on a network disk is mostly waiting.

# Files that operating systems and archivers leave behind, in lower case.
_LEFT_BEHIND = frozenset({'thumbs.db', 'desktop.ini', '__macosx'})


@dataclasses.dataclass(frozen=True)
class ImageList:
  """Images of one split.

  Attributes:
    files: Path of each image.
    sizes: Bytes of each image.
    labels: Index into `classes` of each image.
    classes: Names of the class folders that hold images.
    nested: Number of images in sub-folders of a class folder.
    loose: Images outside class folders.
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
    """Describes oddities of the folder; empty if there are none."""
    one = len(self.no_images) == 1
    no_images = 'that is not an image' if one else 'that are not images'
    skipped = (
      ('class', ' without images', self.empty),
      ('file', f' {no_images}', self.no_images),
      ('dead link', '', self.dead_links),
      ('image', ' outside class folders', self.loose),
    )
    phrases = [
      f'skipped {count(len(names), noun)}{rest} ({some(names)})'
      for noun, rest, names in skipped
      if names
    ]
    if self.nested:
      nested = count(self.nested, 'image')
      phrases.append(f'{nested} in sub-folders of their class')
    return '; '.join(phrases)


@dataclasses.dataclass(frozen=True)
class _File:
  name: str  # Path relative to the root.
  size: int
  is_image: bool
  is_jpeg: bool


def list_split(
  split: paths.Path, max_broken: float, retry_seconds: float
) -> ImageList:
  """Lists the images of a split, and warns about anything else in it.

  Args:
    split: Folder of the split.
    max_broken: Tolerated fraction of files that are not images.
    retry_seconds: As in `list_images`.

  Raises:
    UserError: The folder has no images, or too many other files.
  """
  images = list_images(split, retry_seconds)
  others = len(images.no_images)
  total = len(images.files) + others
  if others > max_broken * total:
    raise UserError(
      f'{others} of {total} files in {split} {are(others)} not'
      f' {signature.SUPPORTED}: {some(images.no_images)}; remove or convert'
      ' them, or raise --config.data.max_broken'
    )
  if not images.files:
    raise UserError(
      f'{split} has no images in class folders; they must be in'
      ' <split>/<class>/'
    )
  if oddities := images.describe_oddities():
    distributed.warn(f'{split}: {oddities}')
  return images


def list_images(split: paths.Path, retry_seconds: float = 0.0) -> ImageList:
  """Lists the images in the class folders of a split, and their sub-folders.

  The order mixes the classes and depends only on the names.

  Args:
    split: Folder of the split.
    retry_seconds: How long to retry reading a file.

  Raises:
    UserError: A file cannot be read.
  """
  root = os.fspath(split)
  names = [path.name for path in folders(split)]
  found = (path for name in names for path in _walk(root, name))
  files, dead_links, special = _sort_out(root, found)
  files.sort(key=lambda name: (_hash(name), name))
  looked = _look_at_all(root, files, retry_seconds)
  images = [file for file in looked if file.is_image]
  class_of = [file.name.split(os.sep)[0] for file in images]
  classes = class_names.in_order(set(class_of))
  label_of = {name: label for label, name in enumerate(classes)}
  return ImageList(
    files=tuple(os.path.join(root, file.name) for file in images),
    sizes=tuple(file.size for file in images),
    labels=tuple(label_of[name] for name in class_of),
    classes=classes,
    nested=sum(name.count(os.sep) > 1 for name in files),
    loose=loose_images(split),
    empty=tuple(sorted(set(names) - set(classes))),
    no_images=(*(f.name for f in looked if not f.is_image), *special),
    dead_links=(
      *(path.name for path in _visible(split) if not path.exists()),
      *dead_links,
    ),
    jpeg=all(file.is_jpeg for file in images),
  )


def loose_images(folder: paths.Path) -> tuple[str, ...]:
  """Returns the names of the images directly in a folder, sorted."""
  return tuple(
    path.name
    for path in _visible(folder)
    if signature.is_supported_name(path.name) and path.is_file()
  )


def image_files(folder: str) -> list[str]:
  """Returns the files in a folder and its sub-folders that look like images.

  They have an image's first bytes or extension. Warns about the others.
  """
  files, dead_links, _ = _sort_out(folder, _walk(folder))
  others = sorted(
    file.name
    for file in _look_at_all(folder, files, 0.0)
    if not file.is_image and not signature.is_supported_name(file.name)
  )
  # A dead link was probably meant to be an image.
  chosen = sorted({*files, *dead_links} - {*others})
  if others and chosen:
    warn(
      f'{folder}: skipped {count(len(others), "file")} not in'
      f' {signature.SUPPORTED} format ({some(others)})'
    )
  return [os.path.join(folder, name) for name in chosen]


def folders(path: paths.Path) -> list[paths.Path]:
  """Returns the folders in a folder, sorted, without hidden ones."""
  return [entry for entry in _visible(path) if entry.is_dir()]


def _visible(folder: paths.Path) -> list[paths.Path]:
  return [path for path in paths.entries(folder) if not _is_hidden(path.name)]


def _is_hidden(name: str) -> bool:
  return name.startswith('.') or name.lower() in _LEFT_BEHIND


def _walk(root: str, folder: str = '') -> Iterator[str]:
  """Yields file paths, relative to `root`, in a folder and its sub-folders."""
  seen = set()
  for parent, children, names in paths.walk(os.path.join(root, folder)):
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
        yield os.path.relpath(os.path.join(parent, name), root)


def _sort_out(
  root: str, names: Iterable[str]
) -> tuple[list[str], list[str], list[str]]:
  """Returns the files, the dead links, and the pipes and devices."""
  files, dead_links, special = [], [], []
  for name in names:
    path = os.path.join(root, name)
    if os.path.isfile(path):
      files.append(name)
    elif os.path.exists(path):
      special.append(name)
    else:
      dead_links.append(name)
  return files, dead_links, special


def _hash(name: str) -> bytes:
  return hashlib.blake2b(os.fsencode(name), digest_size=8).digest()


def _look_at_all(
  root: str, names: list[str], retry_seconds: float
) -> list[_File]:
  def look_at(name: str) -> _File:
    path = os.path.join(root, name)
    look = functools.partial(_head_and_size, path)
    head, size = retry(look, path, retry_seconds, PERMANENT)
    is_image, is_jpeg = signature.is_supported(head), signature.is_jpeg(head)
    return _File(name, size, is_image, is_jpeg)

  with concurrent.futures.ThreadPoolExecutor(_THREADS) as threads:
    return list(threads.map(look_at, names))


def _head_and_size(path: str) -> tuple[bytes, int]:
  with open(path, 'rb', buffering=0) as file:
    return file.read(16), os.fstat(file.fileno()).st_size

"""Checks all images in a folder before a run uses them."""

import collections
from collections.abc import Iterable
import concurrent.futures
import dataclasses
import functools
import hashlib
import itertools
import math
import os
import pathlib

import ml_collections
import numpy as np
import tqdm

from inception import paths
from inception.config import default
from inception.data.pixels import decode, images
from inception.data.sources import folder, listing
from inception.data.sources.listing import ImageList
from inception.data.tensorflow import tf
from inception.errors import UserError, are, count, some

_TRAIN = 'train'  # The split that must have all classes.
_NAMED = 5  # Names listed per finding.


@dataclasses.dataclass(frozen=True)
class Report:
  """Findings of a check.

  Attributes:
    splits: The images of every split.
    errors: Problems that would stop a run or make it meaningless.
    warnings: Problems worth a look.
    broken: Every file that is broken or not an image, and why.
  """

  splits: dict[str, ImageList]
  errors: tuple[str, ...]
  warnings: tuple[str, ...]
  broken: tuple[str, ...] = ()

  def lines(self) -> list[str]:
    """Returns the report as text."""
    lines = [
      f'{split}: {count(len(found.files), "image")} in'
      f' {count(len(found.classes), "class")}'
      f' ({_span(_class_sizes(found))} per class)'
      for split, found in self.splits.items()
    ]
    lines += [f'error: {line}' for line in self.errors]
    lines += [f'broken: {line}' for line in self.broken]
    lines += [f'warning: {line}' for line in self.warnings]
    return lines if len(lines) > len(self.splits) else [*lines, 'no problems']


@dataclasses.dataclass(frozen=True)
class _Image:
  split: str
  name: str  # Path relative to the root.
  label: str
  content: bytes  # Hash of the file.
  damage: str | None
  uniform: bool


def check(
  root: paths.Path, decode_all: bool, max_broken: float = 0.0
) -> Report:
  """Checks every image of every split.

  Args:
    root: Folder of splits, or of classes.
    decode_all: Decode every image, to find damage inside images. Takes as long
      as one epoch of the input pipeline alone.
    max_broken: `data.max_broken` of the run.

  Raises:
    UserError: There is no such folder, or it holds no images.
  """
  splits = _list(root)
  found = _look_at_all(root, splits, decode_all)
  damaged = [f'{i.name}: {i.damage}' for i in found if i.damage]
  damaged += [
    f'{os.path.relpath(folder.split_folder(root, split) / name, root)}: it is'
    ' not an image'
    for split, images_ in splits.items()
    for name in images_.no_images
  ]
  errors = [
    *_classes_that_train_lacks(splits),
    *_too_many_broken(splits, found, max_broken),
  ]
  warnings = [
    *_outside(root, splits),
    *_classes_that_others_lack(splits),
    *(
      f'{split}: {oddities}'
      for split, images_ in splits.items()
      if (oddities := images_.describe_oddities())
    ),
    *_counted(
      'with a single color (transparent pixels show data.background)',
      [image.name for image in found if image.uniform],
    ),
    *_counted(
      'that cannot be decoded, which evaluation does not tolerate',
      [i.name for i in found if i.damage and i.split != _TRAIN],
    ),
    *_duplicates(found),
  ]
  return Report(splits, tuple(errors), tuple(warnings), tuple(damaged))


def _list(root: paths.Path) -> dict[str, ImageList]:
  names = folder.split_names(root)
  splits = {
    name: listing.list_images(folder.split_folder(root, name)) for name in names
  }
  splits = {name: found for name, found in splits.items() if found.files}
  if not splits:
    raise UserError(
      f'no images in {root}; they must be in <split>/<class>/ or <class>/'
    )
  return splits


def _look_at_all(
  root: paths.Path, splits: dict[str, ImageList], decode_all: bool
) -> list[_Image]:
  config = default.get_config().data
  jobs = [
    (split, file, found.classes[label])
    for split, found in splits.items()
    for file, label in zip(found.files, found.labels)
  ]
  look = functools.partial(_look_at, root, config if decode_all else None)
  with concurrent.futures.ThreadPoolExecutor(2 * (os.cpu_count() or 1)) as pool:
    found = pool.map(look, *zip(*jobs))
    # Shows progress on a terminal only.
    return list(tqdm.tqdm(found, total=len(jobs), unit='image', disable=None))


def _look_at(
  root: paths.Path,
  config: ml_collections.ConfigDict | None,
  split: str,
  file: str,
  label: str,
) -> _Image:
  data = pathlib.Path(file).read_bytes()
  damage, uniform = None, False
  if config is not None:
    try:
      pixels = _decode(data, config)
      uniform = bool((pixels == pixels[:1, :1]).all())
    except tf.errors.OpError:
      damage = images.why_not_decoded(data)
  name = os.path.relpath(file, root)
  content = hashlib.blake2b(data, digest_size=16).digest()
  return _Image(split, name, label, content, damage, uniform)


def _decode(data: bytes, config: ml_collections.ConfigDict) -> np.ndarray:
  (image,) = decode.inspect(tf.constant([data]), config).unstack(1)
  return decode.decode(image, config).numpy()


def _classes_that_train_lacks(splits: dict[str, ImageList]) -> Iterable[str]:
  if _TRAIN in splits:
    known = set(splits[_TRAIN].classes)
    for split, found in splits.items():
      if unknown := sorted(set(found.classes) - known):
        yield (
          f'{split} has {count(len(unknown), "class")} that {_TRAIN} lacks:'
          f' {some(unknown, _NAMED)}'
        )


def _classes_that_others_lack(splits: dict[str, ImageList]) -> Iterable[str]:
  everywhere = set().union(*(found.classes for found in splits.values()))
  for split, found in splits.items():
    missing = sorted(everywhere - set(found.classes))
    if missing and split != _TRAIN:
      named = some(missing, _NAMED)
      yield f'{split} lacks {count(len(missing), "class")}: {named}'


def _outside(root: paths.Path, splits: dict[str, ImageList]) -> Iterable[str]:
  if [*splits] != folder.WHOLE:
    names = listing.loose_images(root)
    yield from _counted('not in any split or class', names)


def _too_many_broken(
  splits: dict[str, ImageList], found: list[_Image], max_broken: float
) -> Iterable[str]:
  damaged = collections.Counter(i.split for i in found if i.damage)
  for split, images_ in splits.items():
    number = damaged[split] + len(images_.no_images)
    total = len(images_.files) + len(images_.no_images)
    if number > max_broken * total:
      share = math.ceil(1000 * number / total) / 1000
      yield (
        f'{number} of {total} files in {split}'
        f' {are(number)} broken or not images; remove them, or train with'
        f' --config.data.max_broken={share}'
      )


def _duplicates(found: list[_Image]) -> Iterable[str]:
  by_content = collections.defaultdict(list)
  for image in found:
    by_content[image.content].append(image)
  same = [group for group in by_content.values() if len(group) > 1]
  names = [' = '.join(sorted(i.name for i in group)) for group in same]
  places = [{(image.split, image.label) for image in group} for group in same]
  splits = sorted({image.split for image in found})
  for one, other in itertools.combinations(splits, 2):
    shared = [{one, other} <= {split for split, _ in each} for each in places]
    yield from _counted(
      f'in both {one} and {other}', itertools.compress(names, shared)
    )
  several = [len({label for _, label in each}) > 1 for each in places]
  yield from _counted(
    'in more than one class', itertools.compress(names, several)
  )
  repeated = [len(each) == 1 for each in places]
  yield from _counted(
    'more than once in one class', itertools.compress(names, repeated)
  )


def _counted(what: str, images: Iterable[str]) -> Iterable[str]:
  if names := list(images):
    yield f'{count(len(names), "image")} {what}: {some(names, _NAMED)}'


def _class_sizes(found: ImageList) -> list[int]:
  return list(collections.Counter(found.labels).values())


def _span(numbers: list[int]) -> str:
  low, high = min(numbers), max(numbers)
  return f'{low:,}' if low == high else f'{low:,} to {high:,}'

"""Sides of a comparison from disk: images, features or statistics."""

from collections.abc import Callable, Iterable, Iterator, Sequence
import dataclasses
import hashlib
import itertools
import os
from typing import Any

import jax.numpy as jnp
import numpy as np

from inception import paths
from inception.errors import UserError, are, count, some
from inception.generative import (
  callers_mesh,
  generator_images,
  image_sets,
  progress_lines,
  selection,
  statistics_files,
)
from inception.generative.collector import Collector
from inception.generative.extractor import Extractor
from inception.generative.image_sets import ImageSet
from inception.generative.sample import LOGITS, Sample
from inception.processes import distributed

_PER_DEVICE = 32  # Images per step.

# Numbers in an image. A batch of larger ones would not fit in memory.
_LARGE = 2048 * 2048 * 3


@dataclasses.dataclass(frozen=True)
class Side:
  """A side on disk, opened.

  Attributes:
    name: Its path, for messages.
    statistics: If it is a file of statistics.
    pictures: If it holds images.
    crop: Side to which these are cropped; None: not cropped.
  """

  name: str
  statistics: Sample | None = None
  pictures: ImageSet | None = None
  crop: int | None = None


def open_side(
  where: str, crop: int | None = None, data_dir: str | None = None
) -> Side:
  """Opens statistics, features or images, without reading the images.

  Args:
    where: See `statistics_files` and `open_images`. A file of ADM has both:
      statistics of a whole data set, and some of its images.
    crop: Crop images to this side, see `adm_crop`.
    data_dir: Folder of TFDS data sets.

  Raises:
    UserError: It cannot be read.
  """
  statistics = None
  if not where.startswith('tfds:'):
    path = paths.resolve(where)
    if path.is_file() and statistics_files.is_statistics(path):
      statistics = statistics_files.read_statistics(path)
      statistics.facts['statistics_sha256'] = _sha256(path)
      if 'arr_0' not in statistics_files.keys_of(path):
        return Side(where, statistics)
  pictures = image_sets.open_images(where, data_dir)
  if skipped := pictures.skipped:
    distributed.warn(
      f'{count(len(skipped), "file")} of {where} {are(len(skipped))} skipped,'
      f' as the names are not those of pictures: {some(skipped)}'
    )
  if crop is not None:
    pictures = image_sets.cropped(pictures, crop)
  return Side(where, statistics, pictures, crop)


@callers_mesh.ignored
def read(
  where: paths.PathLike,
  extractor: Extractor,
  keep: Sequence[str] = (),
  num_images: int | None = None,
  batch_size: int | None = None,
  crop: int | None = None,
) -> Sample:
  """Returns the statistics of images on disk, or of a file of statistics.

  Args:
    where: A folder or archive of pictures, an array of images, tfds:NAME:SPLIT
      or a file of statistics: see `open_images` and `statistics_files`.
    extractor: The function from images to features.
    keep: What to keep of every image: 'features' and 'logits'.
    num_images: Number of images to use, the first ones; None: all.
    batch_size: Images per step, of all processes; None: 32 per device.
    crop: Crop images to this side, see `adm_crop`.

  Raises:
    UserError: It cannot be read, or there are too few images.
  """
  if isinstance(keep, str) or not {'features', LOGITS}.issuperset(keep):
    raise UserError(f"keep={keep!r} may have 'features' and 'logits'")
  side = open_side(os.fspath(where), crop)
  if side.statistics is not None:
    selection.check_alike(extractor.facts, side.statistics.facts)
  images = number_of_images(side, num_images)
  if crop is not None and images is None:
    raise UserError(f'{where} holds statistics; crop is for images')
  found = read_side(side, lambda: extractor, keep, images, batch_size)
  for name in keep:
    if getattr(found, name) is None:
      raise UserError(f'{where} holds statistics without {name}')
  return found


def read_side(
  side: Side,
  extractor: Callable[[], Extractor],
  keep: Sequence[str] = (),
  num_images: int | None = None,
  batch_size: int | None = None,
) -> Sample:
  """Returns statistics, or computes them from images.

  Args:
    side: The opened side. Of a file of ADM, statistics come from the file, and
      features from its images.
    extractor: Returns the function from images to features; called only for
      images.
    keep: What to keep of every image: 'features' and 'logits'.
    num_images: Number of images to use, the first ones; None: all.
    batch_size: Images per step, of all processes; None: 32 per device.

  Raises:
    UserError: An image cannot be decoded, or there are too few.
  """
  statistics = side.statistics
  is_enough = statistics is not None and (
    not keep or statistics.features is not None
  )
  if side.pictures is None or is_enough:
    assert statistics is not None
    return statistics
  found = collect(side.pictures, extractor(), keep, num_images, batch_size)
  found.facts.update(crop=side.crop or 0, is_jpeg=side.pictures.is_jpeg)
  if statistics is None:
    return found
  return dataclasses.replace(
    statistics,
    features=found.features,
    logits=found.logits,
    facts={**statistics.facts, 'images_for_features': found.count},
  )


def number_of_images(side: Side, num_images: int | None = None) -> int | None:
  """Returns the number of images to read of a side; None of statistics.

  Args:
    side: The opened side.
    num_images: Number of images to use, if not all.

  Raises:
    UserError: There are fewer than that, or than two; or the side is, or
      states, statistics of another number.
  """
  if num_images is not None and side.statistics is not None:
    raise UserError(f'{side.name} holds statistics; num_images is for images')
  if side.pictures is None:
    return None
  total = side.pictures.count if num_images is None else num_images
  if not isinstance(total, int) or total < 2:
    raise UserError(f'{side.name}: at least two images are needed, not {total}')
  if total > side.pictures.count:
    raise UserError(
      f'num_images={total:,} is more than the {side.pictures.count:,} images in'
      f' {side.name}'
    )
  return total


def collect(
  pictures: ImageSet,
  extractor: Extractor,
  keep: Sequence[str] = (),
  num_images: int | None = None,
  batch_size: int | None = None,
) -> Sample:
  """Computes statistics and features of images on disk, in all processes.

  Raises:
    UserError: There are fewer than two images, or one cannot be decoded.
  """
  total = pictures.count if num_images is None else num_images
  processes = distributed.process_count()
  if total < processes:
    raise UserError(f'{total} images are fewer than {processes} processes')
  collector = Collector(extractor, keep=keep, num_images=total)
  devices = len(collector.devices)
  per_device = _PER_DEVICE
  if batch_size is not None:
    per_device = -(-batch_size // (processes * devices))
  indices = range(distributed.process_index(), total, processes)
  sizes: set[tuple[int, ...]] = set()
  images = progress_lines.shown(
    _noting_sizes(pictures.images(indices), sizes), pictures.name, len(indices)
  )
  # Processes read different images, and one may be damaged.
  with distributed.agreed():
    _take_all(collector, zip(indices, images), per_device, pictures.name)
  found = collector.sample()
  if len(sizes) == 1 and len(set(*sizes)) == 1:
    found.facts['image_size'] = f'{min(*sizes)}'
  return found


def _noting_sizes(
  images: Iterable[np.ndarray], sizes: set[tuple[int, ...]]
) -> Iterator[np.ndarray]:
  """Yields images; adds the height and width of each to `sizes`."""
  for image in images:
    sizes.add(image.shape[:2])
    yield image


def _take_all(
  collector: Collector,
  images: Iterable[tuple[int, np.ndarray]],
  per_device: int,
  name: str,
) -> None:
  """Takes images with their indices among all images."""
  devices = collector.devices
  shape: tuple[int, ...] | None = None

  def prepared(item: tuple[int, np.ndarray]) -> tuple[int, Any]:
    """Prepares an image now if it is large, or unlike the first one."""
    nonlocal shape
    index, image = item
    shape = shape or image.shape
    if image.shape == shape and image.size < _LARGE:
      return item
    if not collector.takes_any_size:
      raise UserError(
        f'{name} has images of several sizes, or large ones, but these features'
        ' need small images of one size: give a --crop'
      )
    return index, collector.prepare_one(image)

  for group in itertools.batched(
    map(prepared, images), per_device * len(devices)
  ):
    rows = np.array([index for index, _ in group])
    batch = [image for _, image in group]
    is_uniform = all(isinstance(image, np.ndarray) for image in batch)
    if not is_uniform:
      batch = [
        collector.prepare_one(x) if isinstance(x, np.ndarray) else x
        for x in batch
      ]
    take = collector.take if is_uniform else collector.take_prepared
    stack: Any = np.stack if is_uniform else jnp.stack
    # The rows are those of all images already.
    take(
      generator_images.split_rows(stack(batch), rows, 0, devices, per_device)
    )


def _sha256(path: paths.Path) -> str:
  with paths.open_file(path) as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()

"""Sides of a comparison from disk: images, features or statistics."""

from collections.abc import Callable, Iterable, Sequence
import dataclasses
import hashlib
import itertools
import os
from typing import Any

import jax.numpy as jnp
import numpy as np
import tqdm

from inception import paths
from inception.errors import UserError
from inception.generative import (
  generator_images,
  image_sets,
  selection,
  statistics_files,
)
from inception.generative.collector import Collector
from inception.generative.extractor import Extractor
from inception.generative.image_sets import ImageSet
from inception.generative.sample import Sample
from inception.processes import distributed

BATCH_SIZE = 32


def read_reference(
  where: paths.PathLike | Sample | None,
  extractor: Callable[[], Extractor],
  metrics: Sequence[str] | None = None,
  **how: Any,
) -> Sample | None:
  """Returns the real side of a comparison.

  Args:
    where: Statistics, features or images, see `statistics_files` and
      `open_images`; or a sample, or None.
    extractor: Returns the function from images to features.
    metrics: Names in `METRICS`; None: the default ones.
    **how: `crop` and `batch_size` of `read`.

  Raises:
    UserError: It cannot be read.
  """
  if where is None or isinstance(where, Sample):
    return where
  wanted = selection.wanted(metrics).values()
  is_kept = any(metric.real == 'features' for metric in wanted)
  keep = ('features',) if is_kept else ()
  return read(os.fspath(where), extractor, keep, **how)


def statistics_of(where: str) -> Sample | None:
  """Returns the content of a file of statistics; None for images."""
  if where.startswith('tfds:'):
    return None
  path = paths.resolve(where)
  if not (path.is_file() and statistics_files.is_statistics(path)):
    return None
  found = statistics_files.read_statistics(path)
  found.facts['statistics_sha256'] = _sha256(path)
  return found


def read(
  where: str,
  extractor: Callable[[], Extractor],
  keep: Sequence[str] = (),
  num_images: int | None = None,
  crop: int | None = None,
  batch_size: int = BATCH_SIZE,
) -> Sample:
  """Reads statistics or features, or computes them from images.

  From a file of ADM, with statistics of a whole data set and some of its
  images, it takes the statistics, and the features of these images.

  Args:
    where: Statistics or images, as in `read_reference`.
    extractor: Returns the function from images to features; called only for
      images.
    keep: What to keep of every image: 'features' and 'logits'.
    num_images: Number of images to use, the first ones; None: all.
    crop: Crop images to this side, see `adm_crop`.
    batch_size: Images per step, of all processes.

  Raises:
    UserError: It cannot be read, or has too few images.
  """
  statistics = statistics_of(where)
  if statistics is not None:
    has_images = 'arr_0' in statistics_files.keys_of(paths.resolve(where))
    if statistics.features is not None or not (keep and has_images):
      return statistics
  pictures = image_sets.open_images(where)
  if crop is not None:
    pictures = image_sets.cropped(pictures, crop)
  found = collect(pictures, extractor(), keep, num_images, batch_size)
  found.facts.update(crop=crop, is_jpeg=pictures.is_jpeg)
  if statistics is None:
    return found
  return dataclasses.replace(
    statistics,
    features=found.features,
    logits=found.logits,
    facts={**statistics.facts, 'images_for_features': found.count},
  )


def collect(
  pictures: ImageSet,
  extractor: Extractor,
  keep: Sequence[str] = (),
  num_images: int | None = None,
  batch_size: int = BATCH_SIZE,
) -> Sample:
  """Computes statistics and features of images on disk, in all processes.

  Raises:
    UserError: There are fewer images than `num_images`, or than two; or one
      cannot be decoded.
  """
  total = pictures.count if num_images is None else num_images
  if total > pictures.count:
    raise UserError(
      f'num_images={total:,} is more than the {pictures.count:,} images in'
      f' {pictures.name}'
    )
  processes = distributed.process_count()
  if total < processes:
    raise UserError(f'{total} images are fewer than {processes} processes')
  collector = Collector(extractor, keep=keep, num_images=total)
  indices = range(distributed.process_index(), total, processes)
  devices = collector.devices
  per_device = -(-batch_size // (processes * len(devices)))
  images = tqdm.tqdm(
    pictures.images(indices), pictures.name, len(indices), disable=None
  )
  # Processes read different images, and one may be damaged.
  with distributed.agreed():
    _take_all(
      collector,
      images,
      indices,
      per_device,
      extractor.mode is not None,
      pictures.name,
    )
  return collector.sample()


def _take_all(
  collector: Collector,
  images: Iterable[np.ndarray],
  indices: range,
  per_device: int,
  resizes: bool,
  name: str,
) -> None:
  """Takes images, of which `indices` are those among all of them."""
  devices = collector.devices
  rows = iter(indices)
  first: tuple[int, ...] | None = None
  for group in itertools.batched(images, per_device * len(devices)):
    first = first or group[0].shape
    here = np.array(list(itertools.islice(rows, len(group))))
    is_uniform = {image.shape for image in group} == {first}
    if not is_uniform and not resizes:
      raise UserError(
        f'{name} has images of several sizes, which these features'
        ' need to be the same; give a --crop'
      )
    take = collector.take if is_uniform else collector.take_prepared
    prepare: Any = np.asarray if is_uniform else collector.prepare_one
    stack: Any = np.stack if is_uniform else jnp.stack
    # The rows are those of all images already.
    batch = generator_images.split_rows(
      stack([prepare(image) for image in group]), here, 0, devices, per_device
    )
    take(batch)


def _sha256(path: paths.Path) -> str:
  with paths.open_file(path) as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()

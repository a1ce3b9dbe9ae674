"""Writes a network to a file, after its runtime has run it."""

import dataclasses
import os
import tempfile
from typing import Any

import numpy as np

from inception import paths
from inception.cli import outputs
from inception.data import pipeline
from inception.data.batches import HostShard
from inception.data.sources.catalog import open_source
from inception.errors import UserError, warn
from inception.export import card, formats, running
from inception.export.formats import Format
from inception.export.request import Request, check, precision_of
from inception.export.running import Comparison
from inception.predict.load import Pretrained

_SEED = 0


class DifferentError(Exception):
  """A file would not compute what the network computes; it is not written."""


@dataclasses.dataclass(frozen=True)
class Written:
  """A file that was written.

  Attributes:
    path: The file or folder.
    facts: What travels in it.
    comparison: With the network; None if it was not checked.
    images: What it was compared on: 'test images' or 'noise'.
  """

  path: paths.Path
  facts: dict[str, str]
  comparison: Comparison | None
  images: str


def write(
  network: Pretrained,
  path: paths.PathLike,
  format: str | None = None,  # noqa: A002
  *,
  precision: str | None = None,
  check_images: int = 16,
  image_size: int | None = None,
  **how: Any,
) -> Written:
  """Writes a network as a file that runs without this project.

  Args:
    network: The network, from `load_pretrained`.
    path: The file, which must not exist.
    format: A name in `FORMATS`; None: by the suffix of the path.
    precision: 'float32' or 'float16'; None: float32, or int8 of a quantized
      network.
    check_images: Test images, else noise, to compare on; 0: none.
    image_size: Height and width in pixels; None: the config's.
    **how: Other fields of `Request`.

  Raises:
    UserError: The network cannot be exported this way, a package is missing, or
      the file cannot be written.
    DifferentError: Its runtime computes something else.
  """
  file = _new(path)
  request = Request(
    precision=precision_of(network, precision),
    image_size=image_size or network.config.data.image_size,
    **how,
  )
  chosen = formats.find(format, file, request.precision)
  check(network, request)
  _check_options(request, chosen)
  module = chosen.load(runs=check_images > 0)
  facts = card.facts(network, request)
  # Written beside, and renamed.
  with tempfile.TemporaryDirectory('', '.export-', file.parent) as folder:
    part = paths.Path(folder) / file.name
    try:
      module.save(network, request, facts, part)
    except OSError as error:
      raise paths.not_written(file, error) from error
    compared: tuple[Comparison | None, str] = None, ''
    if check_images:
      compared = _compared(network, request, chosen, part, check_images)
    _move(paths.Path(folder), file.parent)
  return Written(file, facts, *compared)


def _new(path: paths.PathLike) -> paths.Path:
  """Returns the path of a file that does not exist yet."""
  file = outputs.resolve(path, '--output')
  if os.path.lexists(file):
    raise UserError(f'{file} exists; remove it, or choose another --output')
  return file


def _move(folder: paths.Path, to: paths.Path) -> None:
  """Moves what was written: the file, and perhaps a .json beside it."""
  entries = paths.entries(folder)
  for entry in entries:
    _new(to / entry.name)
  for entry in entries:
    os.rename(entry, to / entry.name)


def _check_options(request: Request, chosen: Format) -> None:
  """Raises if a field is set that only another format or precision has."""
  for name, other in formats.FORMATS.items():
    for option in other.options:
      is_set = getattr(request, option) is not None
      if is_set and option not in chosen.options:
        raise UserError(f'{option} is an option of {name} only')
  if request.activations is not None and request.precision != 'int8':
    raise UserError('activations is an option of int8 only')
  has_platforms = 'platforms' in chosen.options
  is_for_gpus = has_platforms and 'cuda' in (request.platforms or ('cuda',))
  if request.precision == 'int8' and is_for_gpus:
    warn(
      'XLA has computed some int8 convolutions wrongly on GPUs: compare before'
      ' you rely on this file there'
    )


def _compared(
  network: Pretrained,
  request: Request,
  chosen: Format,
  path: paths.Path,
  count: int,
) -> tuple[Comparison, str]:
  """Compares a file on images, and says on which.

  Raises:
    DifferentError: It differs; names the first stage that does.
  """
  pixels, images = _images(network, request.image_size, count)
  module = chosen.load(runs=True)
  run = module.open_file(path)
  comparison = running.compare(network, request, run, pixels)
  most = chosen.bounds[request.precision]
  if comparison.difference <= most:
    return comparison, images
  stages = tuple(stage.name for stage in network.model.architecture.stages)
  every = dataclasses.replace(request, outputs=stages)
  with tempfile.TemporaryDirectory() as folder:
    path = paths.Path(folder) / f'stages{chosen.suffix}'
    module.save(network, every, {}, path)
    run = module.open_file(path)
    first = running.first_difference(network, every, run, pixels, most)
  raise DifferentError(
    f'outputs differ by {comparison.difference:.2g} of the largest, more than'
    f' {most:g}; the first stage that differs is {first or "the classifier"}'
  )


def _images(
  network: Pretrained, size: int, count: int
) -> tuple[np.ndarray, str]:
  """Returns uint8 images of the test split, or noise if it is not there."""
  data = network.config.data.copy_and_resolve_references()
  data.image_size = size
  try:
    source = open_source(data, data.eval_split)
    batch = next(iter(pipeline.eval_batches(source, data, HostShard(count, 1))))
    return batch['image'][0][batch['mask'][0] > 0], 'test images'
  except UserError as error:
    warn(f'compared on noise: {error}')
  state = np.random.RandomState(_SEED)
  shape = (count, size, size, 3)
  return state.randint(0, 256, shape).astype(np.uint8), 'noise'

"""Runs a network on any number of image files, on all local devices."""

from collections.abc import Callable, Iterator, Sequence
import glob
import os
from typing import Any

import jax
import ml_collections
import numpy as np

from inception import paths
from inception.data import pipeline
from inception.data.batches import HostShard
from inception.data.device import feed
from inception.data.sources import folder, listing
from inception.errors import UserError
from inception.predict.failure import Failure
from inception.processes import distributed

# Images per device and step, unless there are fewer.
ROWS = 32


def find_files(patterns: Sequence[str]) -> list[str]:
  """Returns the files that match, in order and without duplicates.

  Args:
    patterns: Files, folders (all images in them and their sub-folders), glob
      patterns, or several of these separated by commas.

  Raises:
    UserError: A pattern matches nothing.
  """
  files: dict[str, None] = {}
  for pattern in patterns:
    one = os.path.lexists(os.path.expanduser(pattern))
    for part in [pattern] if one else pattern.split(','):
      files.update(dict.fromkeys(_match(part)))
  if not files:
    raise UserError('no images; set --images to files, folders or a pattern')
  return list(files)


def _match(pattern: str) -> list[str]:
  path = str(paths.resolve(pattern, '--images'))
  if os.path.isdir(path):
    found = listing.image_files(path)
    if not found:
      raise UserError(f'no images in {path}')
    return found
  if os.path.exists(path) and not os.path.isfile(path):
    raise UserError(f'{path} is a pipe or a device, not a file')
  if os.path.lexists(path):
    return [path]
  matched = sorted(glob.glob(path, recursive=True))
  if not matched:
    raise UserError(f'no such file, folder or pattern: {pattern}')
  return [file for file in matched if not os.path.isdir(file)]


def run(
  function: Callable[[Any, jax.Array], Any],
  variables: Any,
  data: ml_collections.ConfigDict,
  files: Sequence[str],
  rows: int | None = None,
  squares: int = 1,
) -> Iterator[tuple[str, Any | Failure]]:
  """Runs a function on image files, preprocessed as in evaluation.

  Args:
    function: A function of `tasks`, mapped over the local devices.
    variables: Its first argument.
    data: `config.data`.
    files: Paths of the images.
    rows: Images, or squares of images, per device and step; `ROWS` if None.
    squares: Squares per image that `function` takes; see `images.eval_images`.

  Yields:
    Each file in order, with the function's result for it as NumPy arrays
    [...], or with a `Failure`.
  """
  devices = jax.local_devices()
  rows = min(max(1, (rows or ROWS) // squares), -(-len(files) // len(devices)))
  shard = HostShard(rows * len(devices), len(devices))
  failed: dict[int, str] = {}
  batches = pipeline.file_batches(
    folder.open_files(files), data, shard, failed.__setitem__, squares
  )
  variables = distributed.replicate(variables, devices)
  first = 0
  waiting = None
  for batch in feed.prefetch(batches, devices):
    results = function(variables, batch['image'])
    if waiting is not None:
      yield from _rows(waiting, first, files, failed)
      first += shard.batch_size
    waiting = results  # Computed while the previous results are used.
  yield from _rows(waiting, first, files, failed)


def _rows(
  results: Any, first: int, files: Sequence[str], failed: dict[int, str]
) -> Iterator[tuple[str, Any | Failure]]:
  """Yields the files of a batch, without its padding."""
  leaves, tree = jax.tree.flatten(jax.device_get(results))
  leaves = [np.reshape(leaf, (-1, *leaf.shape[2:])) for leaf in leaves]
  for row, file in enumerate(files[first : first + len(leaves[0])]):
    if first + row in failed:
      yield file, Failure(file, f'it is not an image: {failed[first + row]}')
    else:
      yield file, jax.tree.unflatten(tree, [leaf[row] for leaf in leaves])

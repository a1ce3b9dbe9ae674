"""Corrupt images: each is found, named, and replaced by the next good one."""

from collections.abc import Callable
import sys
from typing import Any

import numpy as np

from inception.data.sources.source import Source
from inception.data.tensorflow import tf
from inception.errors import UserError


class CorruptImageReplacement:
  """Finds the corrupt images of a chunk and puts other images in their place.

  Which image replaces which depends on the data set alone, so a run that is
  resumed, or read by more processes, sees the same images.
  """

  def __init__(
    self,
    source: Source,
    max_fraction: float | None,
    indices_of: Callable[[Any], Any],
    load: Callable[[Any, Any], dict[str, Any]],
  ):
    """Keeps what is needed to load a single example.

    Args:
      source: Where the examples come from.
      max_fraction: Fraction of corrupt images tolerated. None: raise on any
        corrupt image.
      indices_of: Maps positions [n] to indices [n] of examples.
      load: Maps positions [n] and indices [n] to a batch of n rows.
    """
    self._source = source
    self._max_fraction = max_fraction
    self._indices_of = indices_of
    self._load = load
    self._known: set[int] = set()

  def load_chunk(self, positions: Any) -> dict[str, np.ndarray]:
    """Loads a chunk row by row, replacing corrupt images.

    Raises:
      UserError: More images are corrupt than are tolerated; names the last one.
    """
    rows = [self._load_row(positions[i : i + 1]) for i in range(len(positions))]
    return {name: np.concatenate([r[name] for r in rows]) for name in rows[0]}

  def _load_row(self, position: Any) -> dict[str, np.ndarray]:
    index = int(self._indices_of(position)[0])
    while True:
      try:
        row = self._load(position, tf.constant([index], tf.int64))
        return {name: value.numpy() for name, value in row.items()}
      except (tf.errors.OpError, OSError):
        self._report(index)
      index = (index + 1) % self._source.num_examples

  def _report(self, index: int) -> None:
    """Warns about a corrupt image once, or raises."""
    if index in self._known:
      return
    name = self._source.describe(index)
    count, total = len(self._known) + 1, self._source.num_examples
    if self._max_fraction is None:
      raise UserError(
        f'{name} is corrupt; evaluation covers every image, so replace it'
      )
    if count > self._max_fraction * total:
      raise UserError(
        f'{name} is corrupt; {count} of {total} images in {self._source.name}'
        f' are now known to be, more than data.max_broken={self._max_fraction}'
        ' allows; replace them or raise the limit'
      )
    self._known.add(index)
    print(
      f'warning: {name} is corrupt; the next good image replaces it ({count} of'
      f' {total})',
      file=sys.stderr,
    )

"""Damaged examples: each is found, named, and replaced by the next good one."""

from collections.abc import Callable
import time
from typing import Any

import numpy as np

from inception.data.sources.source import DamagedError, Source
from inception.data.tensorflow import tf
from inception.errors import UserError, warn

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0  # Seconds.


class CorruptImageReplacement:
  """Finds the corrupt images of a chunk and puts other images in their place.

  Which image replaces which depends on the data set alone, so a run that is
  resumed, or read by more processes, sees the same images. A file that cannot
  be read is another matter: it is tried again, and then ends the run.
  """

  def __init__(
    self,
    source: Source,
    max_fraction: float | None,
    retry_seconds: float,
    indices_of: Callable[[Any], Any],
    load: Callable[[Any, Any], dict[str, Any]],
  ):
    """Keeps what is needed to load a single example.

    Args:
      source: Where the examples come from.
      max_fraction: Fraction of corrupt images tolerated. None: raise on any
        corrupt image.
      retry_seconds: How long to try to read a file again.
      indices_of: Maps positions [n] to indices [n] of examples.
      load: Maps positions [n] and indices [n] to a batch of n rows.
    """
    self._source = source
    self._max_fraction = max_fraction
    self._retry_seconds = retry_seconds
    self._indices_of = indices_of
    self._load = load
    self._known: set[int] = set()

  def load_chunk(self, positions: Any) -> dict[str, np.ndarray]:
    """Loads a chunk row by row, replacing corrupt images.

    Raises:
      UserError: More images are corrupt than are tolerated, or a file cannot be
        read; names the last one.
    """
    rows = [self._load_row(positions[i : i + 1]) for i in range(len(positions))]
    return {name: np.concatenate([r[name] for r in rows]) for name in rows[0]}

  def _load_row(self, position: Any) -> dict[str, np.ndarray]:
    index = int(self._indices_of(position)[0])
    while True:
      try:
        self._check(index)
        row = self._load(position, tf.constant([index], tf.int64))
        return {name: value.numpy() for name, value in row.items()}
      except DamagedError as error:
        self._report(index, str(error))
      except tf.errors.OpError:
        self._report(index, self._why_not_loaded(index))
      index = (index + 1) % self._source.num_examples

  def _check(self, index: int) -> None:
    """Reads the bytes of an example; tries again where the file cannot be read.

    Raises:
      DamagedError: They do not match their checksum.
      UserError: The file could not be read for `retry_seconds`.
    """
    latest = time.monotonic() + self._retry_seconds
    pause = _FIRST_PAUSE
    while True:
      try:
        self._source.read(index)
        return
      except OSError as error:
        name = self._source.describe(index)
        reason = f'cannot read {name}: {error.strerror}'
        if time.monotonic() + pause > latest:
          raise UserError(
            f'{reason}; tried for {self._retry_seconds:g} s, see'
            ' --config.data.retry_seconds'
          ) from error
        if pause == _FIRST_PAUSE:
          warn(f'{reason}; trying again')
      time.sleep(pause)
      pause = min(2 * pause, _LONGEST_PAUSE)

  def _why_not_loaded(self, index: int) -> str:
    """Returns why an example whose bytes are as they were written is no use."""
    classes = len(self._source.classes)
    try:
      label = int(self._source.load(tf.constant([index], tf.int64))[1][0])
    except tf.errors.OpError:
      return 'it has not the features of the data set'
    if not 0 <= label < classes:
      return f'its label {label} is none of the {classes} classes'
    return 'it cannot be decoded'

  def _report(self, index: int, reason: str) -> None:
    """Warns about a corrupt image once, or raises."""
    if index in self._known:
      return
    name = self._source.describe(index)
    count, total = len(self._known) + 1, self._source.num_examples
    if self._max_fraction is None:
      raise UserError(
        f'{name} is corrupt: {reason}; evaluation covers every image, so'
        ' replace it'
      )
    if count > self._max_fraction * total:
      raise UserError(
        f'{name} is corrupt: {reason}; {count} of {total} images in'
        f' {self._source.name} are now known to be, more than'
        f' data.max_broken={self._max_fraction} allows; replace them or raise'
        ' the limit'
      )
    self._known.add(index)
    warn(
      f'{name} is corrupt: {reason}; the next good image replaces it ({count}'
      f' of {total})'
    )

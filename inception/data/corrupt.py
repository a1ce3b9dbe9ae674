"""Corrupt examples: reported, and replaced with good ones or with zeros."""

from collections.abc import Callable, Iterable
import dataclasses
import functools
from typing import Any

import numpy as np

from inception.data.pixels import images
from inception.data.sources.source import DamagedError, Source
from inception.data.tensorflow import tf
from inception.errors import UserError, are, warn
from inception.files.retry import retry

Row = dict[str, np.ndarray]
# Maps positions [n] and indices [n] of examples to a batch of n rows.
Load = Callable[[Any, Any], dict[str, Any]]


class KnownCorrupt:
  """Corrupt images of a split that this or another process has found."""

  def __init__(self, source: Source, max_fraction: float | None):
    """Starts with no known corrupt images.

    Args:
      source: The split.
      max_fraction: Fraction of corrupt images tolerated. None: raise on any
        corrupt image.
    """
    self._source = source
    self._max_fraction = max_fraction
    self._known: set[int] = set()
    self._news: list[int] = []

  def add(self, index: int, reason: str) -> None:
    """Warns about a corrupt image once.

    Raises:
      UserError: More images are corrupt than are tolerated.
    """
    if index in self._known:
      return
    name = self._source.describe(index)
    if self._max_fraction is None:
      raise UserError(
        f'{name} is corrupt: {reason}; evaluation covers every image, so'
        ' replace it'
      )
    self._known.add(index)
    self._news.append(index)
    count = self._check(f'{name} is corrupt: {reason}')
    warn(f'{name} is corrupt: {reason}; the next good image replaces it{count}')

  def has_news(self) -> bool:
    """True if there are indices that `news` has not returned."""
    return bool(self._news)

  def news(self, count: int) -> list[int]:
    """Returns at most `count` indices that it has not returned before."""
    told, self._news = self._news[:count], self._news[count:]
    return told

  def learn(self, indices: Iterable[int]) -> None:
    """Adds the corrupt images that other processes have found.

    Raises:
      UserError: More images are corrupt than are tolerated.
    """
    self._known.update(indices)
    self._check('the processes found corrupt images')

  def _check(self, what: str) -> str:
    """Returns how many are corrupt, for a message, or raises."""
    count, total = len(self._known), self._source.num_examples
    if self._max_fraction is not None and count > self._max_fraction * total:
      raise UserError(
        f'{what}; {count} of {total} images in {self._source.name}'
        f' {are(count)} known to be corrupt, more than'
        f' data.max_broken={self._max_fraction} allows; replace them or raise'
        ' the limit'
      )
    return f' ({count} of {total})'


@dataclasses.dataclass(frozen=True)
class Replacement:
  """Loads examples one by one, replacing corrupt ones with others.

  The replacement depends only on the data set, so a run that is resumed, or
  uses more processes, sees the same images. Unreadable files are not counted as
  corrupt: reading is retried, and if that fails, the run ends.

  Attributes:
    source: Where the examples come from.
    known: Collects the corrupt images.
    retry_seconds: How long to retry reading a file.
    indices_of: Maps positions [n] to indices [n] of examples.
    load: Loads rows, and fails if an image is corrupt.
  """

  source: Source
  known: KnownCorrupt
  retry_seconds: float
  indices_of: Callable[[Any], Any]
  load: Load

  def load_row(self, position: Any) -> Row:
    """Loads the row at an int64 position [1].

    Raises:
      UserError: More images are corrupt than are tolerated, or a file cannot be
        read.
    """
    index = int(self.indices_of(position)[0])
    while True:
      try:
        return retry(
          functools.partial(self._load_example, position, index),
          self.source.describe(index),
          self.retry_seconds,
        )
      except DamagedError as error:
        self.known.add(index, str(error))
      except tf.errors.OpError:
        self.known.add(index, self._why_not_loaded(index))
      index = (index + 1) % self.source.num_examples

  def _load_example(self, position: Any, index: int) -> Row:
    """Loads a row; raises OSError where its file cannot be read."""
    self.source.read(index)
    try:
      return _load_one(self.load, position, index)
    except tf.errors.OpError:
      self.source.read(index)  # The file may have vanished since.
      raise

  def _why_not_loaded(self, index: int) -> str:
    """Returns why an example with a correct checksum cannot be used."""
    classes = len(self.source.classes)
    try:
      label = int(self.source.load(tf.constant([index], tf.int64))[1][0])
    except tf.errors.OpError:
      return 'it lacks the features of the data set'
    if not 0 <= label < classes:
      return f'its label {label} is not one of {classes} classes'
    return 'it cannot be decoded'


def load_or_blank(
  source: Source,
  load: Load,
  blank: Row,
  report: Callable[[int, str], None],
  position: Any,
) -> Row:
  """Loads the row of a file, or a row of zeros if it cannot be decoded.

  Args:
    source: The files.
    load: Loads rows, and fails if a file cannot be decoded.
    blank: Row of zeros, [1, ...].
    report: Called with the index of such a file and what is wrong with it.
    position: int64 [1].
  """
  index = min(int(position[0]), source.num_examples - 1)
  try:
    return _load_one(load, position, index)
  except tf.errors.OpError:
    pass
  try:
    reason = images.why_not_decoded(source.read(index))
  except OSError as error:
    reason = f'it cannot be read: {error.strerror}'
  report(index, reason)
  return blank


def _load_one(load: Load, position: Any, index: int) -> Row:
  row = load(position, tf.constant([index], tf.int64))
  return {name: value.numpy() for name, value in row.items()}

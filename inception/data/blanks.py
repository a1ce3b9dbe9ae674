"""Files that may be no images: reported, and replaced by nothing."""

from collections.abc import Callable
from typing import Any

import numpy as np

from inception.data.pixels import images
from inception.data.sources.source import Source
from inception.data.tensorflow import tf


class Blanks:
  """Replaces undecodable files with rows of zeros, and reports them."""

  def __init__(
    self,
    source: Source,
    empty: dict[str, np.ndarray],
    load: Callable[[Any, Any], dict[str, Any]],
    report: Callable[[int, str], None],
  ):
    """Keeps what is needed to load a single file.

    Args:
      source: The files.
      empty: Row of zeros, [1, ...].
      load: Maps positions [n] and indices [n] to a batch of n rows.
      report: Called with the index of a file and what is wrong with it.
    """
    self._source = source
    self._empty = empty
    self._load = load
    self._report = report

  def load_chunk(self, positions: Any) -> dict[str, np.ndarray]:
    """Loads a chunk row by row."""
    rows = [self._load_row(positions[i : i + 1]) for i in range(len(positions))]
    return {name: np.concatenate([r[name] for r in rows]) for name in rows[0]}

  def _load_row(self, position: Any) -> dict[str, np.ndarray]:
    index = min(int(position[0]), self._source.num_examples - 1)
    try:
      row = self._load(position, tf.constant([index], tf.int64))
      return {name: value.numpy() for name, value in row.items()}
    except tf.errors.OpError:
      self._report(index, self._reason(index))
    return self._empty

  def _reason(self, index: int) -> str:
    try:
      return images.why_not_decoded(self._source.read(index))
    except OSError as error:
      return f'it cannot be read: {error.strerror}'

"""Broken images: found one by one, named, and replaced by the next good one."""

from collections.abc import Callable
import sys
from typing import Any

import numpy as np

from inception.data.datasets import Source
from inception.data.tensorflow import tf
from inception.errors import UserError


class StandIns:
  """Finds broken images, and puts others in their place."""

  def __init__(
    self,
    source: Source,
    max_share: float | None,
    indices_of: Callable[[Any], Any],
    load: Callable[[Any, Any], dict[str, Any]],
  ):
    """Keeps what is needed to load an example alone.

    Args:
      source: what is read.
      max_share: of the examples that may be broken; None allows none to be
        replaced, since evaluation is of every image.
      indices_of: positions [n] to indices [n] of examples.
      load: positions [n] and indices [n] to a batch of n rows.
    """
    self._source = source
    self._max_share = max_share
    self._indices_of = indices_of
    self._load = load
    self._known: set[int] = set()

  def load_chunk(self, positions: Any) -> dict[str, np.ndarray]:
    """Loads a chunk one by one, the next good example for each broken one.

    Raises:
      UserError: more than the allowed share of the data set is broken.
    """
    rows = [self._load_one(positions[i : i + 1]) for i in range(len(positions))]
    return {name: np.concatenate([r[name] for r in rows]) for name in rows[0]}

  def _load_one(self, position: Any) -> dict[str, np.ndarray]:
    index = int(self._indices_of(position)[0])
    while True:
      try:
        loaded = self._load(position, tf.constant([index], tf.int64))
        return {name: value.numpy() for name, value in loaded.items()}
      except (tf.errors.OpError, OSError):
        self._report(index)
      index = (index + 1) % self._source.num_examples

  def _report(self, index: int) -> None:
    if index in self._known:
      return
    self._known.add(index)
    name = self._source.describe(index)
    count, of = len(self._known), self._source.num_examples
    if self._max_share is None:
      raise UserError(
        f'{name} is broken; evaluation is of every image, replace it'
      )
    if count > self._max_share * of:
      raise UserError(
        f'{name} is broken; that makes {count} of {of} images of'
        f' {self._source.name}, more than data.max_broken={self._max_share}'
        ' allows; replace them, or allow more'
      )
    print(
      f'warning: {name} is broken, the next image stands in for it ({count} of'
      f' {of})',
      file=sys.stderr,
    )

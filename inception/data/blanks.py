"""Files that may not be images: reported, and replaced by zeros."""

from collections.abc import Callable
from typing import Any

import numpy as np

from inception.data.pixels import images
from inception.data.sources.source import Source
from inception.data.tensorflow import tf


def load_or_blank(
  source: Source,
  load: Callable[[Any, Any], dict[str, Any]],
  blank: dict[str, np.ndarray],
  report: Callable[[int, str], None],
  position: Any,
) -> dict[str, np.ndarray]:
  """Loads the row of a file, or a row of zeros if it cannot be decoded.

  Args:
    source: The files.
    load: Maps positions [n] and indices [n] to a batch of n rows.
    blank: Row of zeros, [1, ...].
    report: Called with the index of such a file and what is wrong with it.
    position: int64 [1].
  """
  index = min(int(position[0]), source.num_examples - 1)
  try:
    row = load(position, tf.constant([index], tf.int64))
    return {name: value.numpy() for name, value in row.items()}
  except tf.errors.OpError:
    report(index, _reason(source, index))
  return blank


def _reason(source: Source, index: int) -> str:
  try:
    return images.why_not_decoded(source.read(index))
  except OSError as error:
    return f'it cannot be read: {error.strerror}'

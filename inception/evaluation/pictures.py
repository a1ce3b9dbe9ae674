"""Loads the images of a split, preprocessed for each network."""

from collections.abc import Sequence

import numpy as np

from inception.data import pipeline
from inception.data.batches import HostShard
from inception.data.sources.source import spread
from inception.evaluation.ensemble import by_pixels
from inception.evaluation.members import Member

_ROWS = 32  # Images per batch.


def read(
  members: Sequence[Member], count: int
) -> tuple[list[np.ndarray], np.ndarray]:
  """Reads `count` evenly spaced images of a split, or all if it has fewer.

  Returns:
    uint8 [images, height, width, 3] for each network, and int64 [images], the
    labels without the class offset.
  """
  seen = {
    pixels: _read(member, count)
    for pixels, member in by_pixels(members).items()
  }
  images = [seen[member.pixels][0] for member in members]
  return images, seen[members[0].pixels][1]


def _read(member: Member, count: int) -> tuple[np.ndarray, np.ndarray]:
  source = spread(member.source, count)
  batches = pipeline.eval_batches(
    source, member.config.data, HostShard(_ROWS, 1)
  )
  images, labels = [], []
  for batch in batches:
    valid = batch['mask'] > 0
    images.append(batch['image'][valid])
    labels.append(batch['label'][valid])
  joined = np.concatenate(labels).astype(np.int64)
  return np.concatenate(images), joined - member.offset

"""The 'fake' data set: one batch of noise, to benchmark the devices alone."""

from typing import Any, NoReturn

import ml_collections
import numpy as np

from inception.data.sources.source import Source

NUM_EXAMPLES = 1_281_167  # As many as ImageNet has.
NUM_CLASSES = 1000


def open_split(config: ml_collections.ConfigDict, split: str) -> Source:
  """Returns the same source for every config and split."""
  del config, split
  return Source(
    name='fake',
    num_examples=NUM_EXAMPLES,
    classes=tuple(f'class {label}' for label in range(NUM_CLASSES)),
    load=_no_image,
    read=_no_image,
    describe=str,
    digest='',
    ranges=(),
    fake=True,
  )


def make_batch(
  config: ml_collections.ConfigDict, shape: tuple[int, int]
) -> dict[str, np.ndarray]:
  """Returns a batch of noise, always the same.

  Args:
    config: `config.data`.
    shape: Local devices, and images per device.

  Returns:
    `image` uint8 [*shape, height, width, 3] and `label` int32 [*shape].
  """
  generator = np.random.default_rng(0)
  side = config.image_size
  images = generator.integers(0, 256, (*shape, side, side, 3), np.uint8)
  labels = generator.integers(0, NUM_CLASSES, shape, np.int32)
  return {'image': images, 'label': config.class_offset + labels}


def _no_image(index: Any) -> NoReturn:
  raise AssertionError(f'fake example {index} has no image')

"""The 1,797 handwritten digits of scikit-learn as a TFDS data set.

8 x 8 gray pixels, ten classes, from the UCI repository (Alpaydin and Kaynak,
1998). They come with scikit-learn, so building the data set downloads nothing.
Importing this module registers 'digits' with TFDS.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from inception.data.tensorflow import tfds

# Every fifth digit is held out: 360, from all writers and classes.
TEST_EVERY = 5


class Digits(tfds.core.GeneratorBasedBuilder):
  """Builds the splits 'train' (1,437 digits) and 'test' (360)."""

  VERSION = tfds.core.Version('1.0.0')

  def _info(self) -> tfds.core.DatasetInfo:
    return self.dataset_info_from_configs(
      description=__doc__,
      features=tfds.features.FeaturesDict(
        {
          'image': tfds.features.Image(shape=(8, 8, 1)),
          'label': tfds.features.ClassLabel(num_classes=10),
        }
      ),
      supervised_keys=('image', 'label'),
      homepage='https://archive.ics.uci.edu/dataset/80',
    )

  def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
    del dl_manager  # There is nothing to download.
    return {
      'train': self._generate_examples(False),
      'test': self._generate_examples(True),
    }

  def _generate_examples(self, test: bool) -> Iterator[tuple[int, Any]]:
    from sklearn import datasets  # Slow to import, and needed only once.

    digits = datasets.load_digits()
    # A pixel counts the dots of a 4 x 4 cell: 0 to 16.
    images = np.round(digits.images[..., None] * (255 / 16)).astype(np.uint8)
    for i, (image, label) in enumerate(zip(images, digits.target)):
      if (i % TEST_EVERY == 0) == test:
        yield i, {'image': image, 'label': int(label)}

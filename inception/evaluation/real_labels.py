"""ReaL labels: all correct labels of each ImageNet validation image.

"Are we done with ImageNet?" (Beyer et al., 2020). Their file `real.json` has a
list of labels for each of the 50,000 validation images, in the order of the
file numbers. Images without labels are skipped; a prediction is correct if it
is one of the image's labels.
"""

from collections.abc import Callable, Sequence
import dataclasses
import re
from typing import Any

import numpy as np

from inception import paths
from inception.data.batches import HostShard
from inception.errors import UserError, count
from inception.files import json_text

_FILE = 'real.json'
_URL = 'https://github.com/google-research/reassessed-imagenet'
_NAME = re.compile(r'ILSVRC2012_val_(\d{8})')


@dataclasses.dataclass(frozen=True)
class RealLabels:
  """The labels of each image.

  Attributes:
    labels: Class indices of each file; the first is file number 1.
    file_name: Maps the index of an example to the name of its file.
    offset: Index of the logit of the first class.
    num_classes: Logits per image.
  """

  labels: Sequence[Sequence[int]]
  file_name: Callable[[int], str]
  offset: int
  num_classes: int

  def relabel(
    self, batch: dict[str, Any], number: int, shard: HostShard
  ) -> dict[str, Any]:
    """Adds `right` to a batch, and masks out images without labels.

    Args:
      batch: The batch, on the host.
      number: Index of the batch.
      shard: The rows of each batch that this process reads.

    Returns:
      The batch with `right` bool [devices, rows, num_classes].

    Raises:
      UserError: An image is not an ImageNet validation image, or one of its
        labels is not a class of the network.
    """
    first = number * shard.batch_size + shard.process * shard.rows
    right = np.zeros((shard.rows, self.num_classes), bool)
    for row in np.flatnonzero(batch['mask'].reshape(-1)):
      for label in self._labels_of(first + int(row)):
        if label + self.offset >= self.num_classes:
          raise UserError(
            f'--labels has the label {label}; the network has'
            f' {count(self.num_classes - self.offset, "class")}'
          )
        right[row, label + self.offset] = True
    known = right.any(1).reshape(shard.shape)
    return {
      **batch,
      'right': right.reshape(*shard.shape, -1),
      'mask': batch['mask'] * known,
    }

  def _labels_of(self, index: int) -> Sequence[int]:
    name = self.file_name(index)
    found = _NAME.search(name)
    if found is None or not 0 < int(found[1]) <= len(self.labels):
      raise UserError(
        f'{name} is not in the validation split of ImageNet, whose files are'
        ' ILSVRC2012_val_00000001.JPEG to ILSVRC2012_val_00050000.JPEG'
      )
    return self.labels[int(found[1]) - 1]


def read(name: str, data_dir: str | None) -> list[list[int]]:
  """Reads the labels.

  Args:
    name: 'real' for real.json in `data_dir`, or the path of such a file.
    data_dir: Folder of the data set, or None.

  Raises:
    UserError: The file does not exist or has a different format.
  """
  where = f'{data_dir or "."}/{_FILE}' if name == 'real' else name
  path = paths.resolve(where, '--labels')
  if not path.exists():
    raise UserError(
      f'{path} does not exist; get {_FILE} from {_URL}, or set --labels=FILE'
    )
  labels = json_text.read(path)
  if not _are_labels(labels):
    raise UserError(
      f'{path} is not a list of lists of labels, which are integers from 0'
    )
  return labels


def _are_labels(tree: Any) -> bool:
  return isinstance(tree, list) and all(
    isinstance(labels, list) and all(type(x) is int and x >= 0 for x in labels)
    for labels in tree
  )

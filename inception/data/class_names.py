"""Class names: their order, those in a config, and ImageNet's.

ImageNet's classes are synsets of WordNet 3.0 (Princeton University). Data
sets and folders use their IDs, such as 'n01440764'.
"""

from collections.abc import Iterable
import functools
import pathlib

import ml_collections

_FILE = pathlib.Path(__file__).with_name('imagenet.tsv')


def configured(data: ml_collections.ConfigDict) -> tuple[str, ...] | None:
  """Returns the class names in `config.data`, in the order of their labels.

  None if they are unknown, as for most imported weights.
  """
  return None if data.class_names is None else tuple(data.class_names)


def in_order(names: Iterable[str]) -> tuple[str, ...]:
  """Returns class names in the order of their labels.

  Sorted as strings, unless they are exactly the integers from 0: those are
  sorted as numbers, so '2' is class 2 even if there is a '10'.
  """
  ordered = sorted(names)
  numbers = [str(i) for i in range(len(ordered))]
  return tuple(numbers if ordered == sorted(numbers) else ordered)


def of_logits(
  data: ml_collections.ConfigDict, num_classes: int
) -> tuple[str, ...]:
  """Returns a readable name per logit; 'class 7' if names are unknown."""
  known = configured(data)
  if known is None:
    return tuple(f'class {i}' for i in range(num_classes))
  return ('background',) * data.class_offset + tuple(map(readable, known))


@functools.cache
def _words() -> dict[str, str]:
  lines = _FILE.read_text().splitlines()
  return dict(line.split('\t') for line in lines)


def imagenet() -> tuple[str, ...]:
  """Returns the 1000 classes of the ImageNet challenge, in label order."""
  return tuple(_words())


def readable(name: str) -> str:
  """Returns the words for a synset ID; any other name unchanged."""
  return _words().get(name, name)

"""Names of classes: their order, those of a config, and ImageNet's.

ImageNet's classes are synsets of WordNet 3.0 (Princeton University). In data
sets and folders they are named by their numbers, such as 'n01440764'.
"""

from collections.abc import Iterable
import functools
import pathlib

import ml_collections

_FILE = pathlib.Path(__file__).with_name('imagenet.tsv')


def configured(data: ml_collections.ConfigDict) -> tuple[str, ...] | None:
  """Returns the class names in `config.data`, in the order of their labels.

  None where they are unknown, as for most imported weights.
  """
  return None if data.class_names is None else tuple(data.class_names)


def in_order(names: Iterable[str]) -> tuple[str, ...]:
  """Returns the names of classes in the order of their labels.

  Sorted, unless they are all the integers from 0: then '2' is class 2, even
  where there is a '10'.
  """
  ordered = sorted(names)
  numbers = [str(i) for i in range(len(ordered))]
  return tuple(numbers if ordered == sorted(numbers) else ordered)


def of_logits(
  data: ml_collections.ConfigDict, num_classes: int
) -> tuple[str, ...]:
  """Returns a readable name per logit; 'class 7' where names are unknown."""
  known = configured(data)
  if known is None:
    return tuple(f'class {i}' for i in range(num_classes))
  return ('background',) * data.class_offset + tuple(map(readable, known))


@functools.cache
def _words() -> dict[str, str]:
  lines = _FILE.read_text().splitlines()
  return dict(line.split('\t') for line in lines)


def imagenet() -> tuple[str, ...]:
  """Returns the 1000 classes of ImageNet's challenge, in order of labels."""
  return tuple(_words())


def readable(name: str) -> str:
  """Returns the words of a synset; another name as it is."""
  return _words().get(name, name)

"""Names of classes: those of a config, and ImageNet's.

ImageNet's classes are synsets of WordNet 3.0 (Princeton University). In data
sets and folders they are named by their numbers, such as 'n01440764'.
"""

import functools
import pathlib

import ml_collections

_FILE = pathlib.Path(__file__).with_name('imagenet.tsv')


def configured(data: ml_collections.ConfigDict) -> tuple[str, ...] | None:
  """Returns the names of a config's classes in the order of their labels.

  Args:
    data: `config.data`.

  Returns:
    The names; None where they are unknown, as for most imported weights.
  """
  return None if data.class_names is None else tuple(data.class_names)


def of_logits(
  data: ml_collections.ConfigDict, num_classes: int
) -> tuple[str, ...]:
  """Returns a readable name per logit; 'class 7' where names are unknown.

  Args:
    data: `config.data`.
    num_classes: Logits per image.
  """
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

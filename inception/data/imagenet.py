"""Names of the 1000 classes of ImageNet's challenge, in the order of labels.

Classes are synsets of WordNet 3.0 (Princeton University), named by their number
in data sets and folders, such as 'n01440764'.
"""

import functools
import pathlib

_FILE = pathlib.Path(__file__).with_name('imagenet.tsv')


@functools.cache
def _words() -> dict[str, str]:
  lines = _FILE.read_text().splitlines()
  return dict(line.split('\t') for line in lines)


def synsets() -> tuple[str, ...]:
  """Returns the numbers of the synsets: the names of the classes."""
  return tuple(_words())


def readable(name: str) -> str:
  """Returns the words of a synset; another name as it is."""
  return _words().get(name, name)

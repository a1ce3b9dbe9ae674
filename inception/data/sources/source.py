"""The form of every data set: an array of encoded images with labels."""

import collections
from collections.abc import Callable
import dataclasses
import threading
from typing import Any

import numpy as np

from inception.data.tensorflow import tf
from inception.errors import UserError, count, some
from inception.processes import distributed

_READ_AT_ONCE = 1024


class DamagedError(Exception):
  """An example is damaged; the message says what is wrong."""


@dataclasses.dataclass(frozen=True)
class Range:
  """Examples [first, end) of a whole split, such as 'train'."""

  split: str
  first: int
  end: int


@dataclasses.dataclass(frozen=True)
class Source:
  """One split of a data set, with random access.

  Attributes:
    name: Data set and split, for messages.
    num_examples: Number of examples in the split.
    classes: Name of each label.
    load: Maps indices (int64 [n] tensor) to encoded images (string [n] tensor)
      and labels (int64 [n] tensor), within a tf.data graph.
    read: Maps an index to the bytes of that example as they are stored. Raises
      OSError, or DamagedError if they do not match their checksum.
    describe: Maps an index to a name of that example, for messages.
    digest: Hash of the split's contents, recorded with a run.
    ranges: The parts of whole splits that these examples come from.
    labels: Label of each example, int64 [num_examples], if known without
      reading the examples.
    jpeg: All images are expected to be JPEGs.
    fake: Batches are noise, not images.
    file_name: Maps an index to the image's original file name, if known.
  """

  name: str
  num_examples: int
  classes: tuple[str, ...]
  load: Callable[[Any], tuple[Any, Any]]
  read: Callable[[int], bytes]
  describe: Callable[[int], str]
  digest: str
  ranges: tuple[Range, ...]
  labels: np.ndarray | None = None
  jpeg: bool = False
  fake: bool = False
  file_name: Callable[[int], str] | None = None

  def __post_init__(self) -> None:
    """Raises UserError if two classes have the same name."""
    for name, times in collections.Counter(self.classes).items():
      if name and times > 1:
        raise UserError(
          f'{self.name} has the class {name!r} twice; rename one, because'
          ' labels are matched by name'
        )


def overlap(one: Source, other: Source) -> int:
  """Returns the number of examples that two splits of a data set share."""
  return sum(
    max(0, min(a.end, b.end) - max(a.first, b.first))
    for a in one.ranges
    for b in other.ranges
    if a.split == b.split
  )


def spread(source: Source, count: int) -> Source:
  """Returns `count` evenly spaced examples, or all if there are fewer.

  Even spacing covers the classes of data sets that are sorted by class.
  """
  total = source.num_examples
  count = min(count, total)
  return dataclasses.replace(
    source,
    num_examples=count,
    load=lambda indices: source.load(indices * total // count),
    read=lambda index: source.read(index * total // count),
    describe=lambda index: source.describe(index * total // count),
    ranges=(),
    labels=None,
    file_name=None,
  )


def with_classes(source: Source, classes: tuple[str, ...]) -> Source:
  """Returns a source whose labels are indices into `classes`, by name."""
  if source.classes == classes:
    return source
  label_by_name = {name: label for label, name in enumerate(classes)}
  label_of = np.array([label_by_name[name] for name in source.classes])
  labels = None if source.labels is None else label_of[source.labels]

  def load(indices: Any) -> tuple[Any, Any]:
    encoded, labels = source.load(indices)
    return encoded, tf.gather(label_of, labels)

  return dataclasses.replace(source, classes=classes, load=load, labels=labels)


def class_counts(source: Source) -> np.ndarray:
  """Returns the number of examples of each class, int64 [classes].

  Reads every example if the labels are not known.
  """
  labels = source.labels
  if labels is None:
    chunks = tf.data.Dataset.range(source.num_examples).batch(_READ_AT_ONCE)
    labels = np.concatenate([source.load(chunk)[1] for chunk in chunks])
  return np.bincount(labels, minlength=len(source.classes))


def read_in_graph(read: Callable[[int], bytes], indices: Any) -> Any:
  """Reads examples in Python, within a tf.data graph.

  Args:
    read: Maps an index to the bytes of that example.
    indices: int64 [n] tensor.

  Returns:
    String [n] tensor.
  """

  def read_all(indices: np.ndarray) -> np.ndarray:
    encoded = np.empty(len(indices), object)
    for row, index in enumerate(indices):
      encoded[row] = read(int(index))
    return encoded

  return tf.numpy_function(read_all, [indices], tf.string, stateful=False)


def cached(
  read: Callable[[int], bytes], cache_bytes: int
) -> Callable[[int], bytes]:
  """Returns a reader that caches examples until `cache_bytes` are full.

  Nothing is evicted: in the random order of training, every example is equally
  likely to be needed next.

  Args:
    read: Maps an index to the bytes of that example.
    cache_bytes: Size of the cache; 0 returns `read` itself.
  """
  if not cache_bytes:
    return read
  kept: dict[int, bytes] = {}
  free = cache_bytes
  lock = threading.Lock()

  def read_once(index: int) -> bytes:
    nonlocal free
    data = kept.get(index)
    if data is None:
      data = read(index)
      with lock:
        if index not in kept and len(data) <= free:
          kept[index] = data
          free -= len(data)
    return data

  return read_once


def relabel(source: Source, expected: tuple[str, ...], owner: str) -> Source:
  """Returns a source whose labels are indices into the expected classes.

  Classes are matched by name, in any order, and some may be missing.

  Args:
    source: A split.
    expected: Names of the classes, in the order of their labels.
    owner: Who expects them, for messages.

  Raises:
    UserError: The source has an unexpected class; names the first.
  """
  known, here = set(expected), set(source.classes)
  unknown = [name for name in source.classes if name not in known]
  if unknown:
    label = source.classes.index(unknown[0])
    there = repr(expected[label]) if label < len(expected) else 'none'
    raise UserError(
      f'{source.name} has different classes from {owner}: they first differ at'
      f' class {label}, {unknown[0]!r} here and {there} there'
    )
  missing = [name for name in expected if name not in here]
  if missing:
    distributed.warn(
      f'{source.name} has {len(source.classes)} of the'
      f' {count(len(expected), "class")} of {owner}; it lacks {some(missing)}'
    )
  return with_classes(source, expected)

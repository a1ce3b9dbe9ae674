"""Progress of long work: a bar on a terminal, a line per minute elsewhere."""

from collections.abc import Iterable, Iterator
import datetime
import sys
import time
from typing import TypeVar

import tqdm

from inception.processes import distributed

Item = TypeVar('Item')

_SECONDS = 60  # Between lines.


def shown(items: Iterable[Item], name: str, total: int) -> Iterator[Item]:
  """Yields items; the first process shows how many there were.

  Args:
    items: The work.
    name: What it is.
    total: Number of items.
  """
  if distributed.process_index() > 0:
    return iter(items)
  if sys.stderr.isatty():
    return iter(tqdm.tqdm(items, name, total))
  return _with_lines(items, name, total)


def _with_lines(items: Iterable[Item], name: str, total: int) -> Iterator[Item]:
  start = last = time.monotonic()
  for done, item in enumerate(items):
    now = time.monotonic()
    if now - last >= _SECONDS:
      last = now
      seconds = round((now - start) * (total - done) / done) if done else 0
      left = datetime.timedelta(seconds=seconds)
      print(f'{name}: {done:,} of {total:,}, {left} left', file=sys.stderr)
    yield item

"""Weights published by other projects: one row per file, by name.

The rows, with the source of their facts, are in published_files.json.
"""

from collections.abc import Callable
import dataclasses
import difflib
import functools
import json
import pathlib
from typing import Any

import ml_collections

from inception.errors import UserError

_FILE = pathlib.Path(__file__).with_name('published_files.json')


@dataclasses.dataclass(frozen=True)
class Published:
  """A published file of weights.

  Attributes:
    name: `<published network>.<tag>`.
    project: A name in `PROJECTS`.
    architecture: Name of the network that it loads into; None: detected.
    urls: URLs of the file; the content is the same at each.
    hash: Hash that its project publishes: an MD5, or the first digits of a
      SHA-256. None if there is none.
    hash_kind: 'md5' or 'sha256'.
    transform: A name in `EVAL_TRANSFORMS`.
    num_classes: Logits per image; 0 without a classifier.
    class_offset: Index of the first class's logit.
    license: License of the file, or of its repository.
    top1: Published accuracy on ImageNet's validation split, percent.
    source: Where these facts were read.
    adjust: Changes the config that is stored with the weights.
  """

  name: str
  project: str
  architecture: str | None
  urls: tuple[str, ...]
  hash: str | None = None
  hash_kind: str | None = None
  transform: str | None = None
  num_classes: int | None = None
  class_offset: int = 0
  license: str = ''
  top1: float | None = None
  source: str = ''
  adjust: Callable[[ml_collections.ConfigDict], None] = lambda config: None

  def facts(self) -> dict[str, Any]:
    """Returns the row as a JSON-serializable dict."""
    facts = dataclasses.asdict(self)
    del facts['adjust']
    return facts


@functools.cache
def rows() -> dict[str, Published]:
  """Returns all rows by their names."""
  return {
    row['name']: Published(**{**row, 'urls': tuple(row['urls'])})
    for row in json.loads(_FILE.read_text())
  }


def of_file(sha256: str) -> Published | None:
  """Returns the row of a file by its SHA-256; None if it has none."""
  for row in rows().values():
    if row.hash_kind == 'sha256' and row.hash and sha256.startswith(row.hash):
      return row
  return None


def lookup(name: str) -> Published:
  """Returns the row of a name.

  Raises:
    UserError: The name is unknown; suggests similar ones.
  """
  known = rows()
  if name in known:
    return known[name]
  near = difflib.get_close_matches(name, known, 3)
  hint = f'did you mean {" or ".join(near)}? ' if near else ''
  raise UserError(
    f'{name} is neither a folder nor the name of published weights; {hint}'
    'python -m inception.pretrained --list shows all names'
  )

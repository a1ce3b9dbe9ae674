"""Weights that others have published: a row per file, by its name.

The rows, and where each fact was read, stand in published_files.json.
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
    architecture: Name of the table that it loads into; None: that which fits.
    urls: Where it is; the same file at each.
    hash: What its project says about its content: an md5, or the first digits
      of a sha256. None where it says nothing.
    hash_kind: 'md5' or 'sha256'.
    transform: A name in `EVAL_TRANSFORMS`.
    num_classes: Logits per image; 0 without a classifier.
    class_offset: Index of the first class's logit.
    license: Of the file, or of its repository.
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
    """Returns the row as JSON."""
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


def lookup(name: str) -> Published:
  """Returns the row of a name.

  Raises:
    UserError: There is none; lists the nearest.
  """
  known = rows()
  if name in known:
    return known[name]
  near = difflib.get_close_matches(name, known, 3)
  hint = f'did you mean {" or ".join(near)}? ' if near else ''
  raise UserError(
    f'there is no folder {name}, and there are no published weights of this'
    f' name; {hint}python -m inception.pretrained --list shows all'
  )

"""Opens data sets by name."""

from collections.abc import Callable
import difflib
import re

import ml_collections

from inception.data.sources import builder, folder, noise, tfds
from inception.data.sources.source import Source
from inception.errors import UserError

Opener = Callable[[ml_collections.ConfigDict, str], Source]

# Values of `data.dataset` that are not names in TFDS.
OPENERS: dict[str, Opener] = {
  'fake': noise.open_split,
  'folder': folder.open_split,
}


def open_source(config: ml_collections.ConfigDict, split: str) -> Source:
  """Opens one split of the data set that a config names.

  Args:
    config: `config.data`.
    split: Name of the split, with or without a slice in TFDS syntax.

  Raises:
    UserError: The data set or split does not exist, or a file is missing or
      damaged.
  """
  if config.dataset in OPENERS:
    return OPENERS[config.dataset](config, split)
  check_tfds_name(config.dataset, config.data_dir)
  return tfds.open_split(config, split)


# Name with an optional config and version, as TFDS writes them.
_NAME = re.compile(r'\w+(/[\w.=,+-]+)*(:[\w.*+-]+)?')


def check_tfds_name(name: str, data_dir: str | None) -> None:
  """Checks that TFDS has a data set; TFDS itself would query the network.

  Arguments are those of `builder.make_builder`.

  Raises:
    UserError: There is no such data set; suggests similar names.
  """
  if _NAME.fullmatch(name) and builder.exists(name, data_dir):
    return
  known = [*builder.names(), *OPENERS]
  close = difflib.get_close_matches(builder.base_name(name), known, 3)
  others = ' or '.join(repr(name) for name in OPENERS)
  raise UserError(
    f'unknown data set {name!r}; it must be a name in TFDS, a data set in'
    f' {builder.root(data_dir)}, {others}'
    + (f'; did you mean {", ".join(close)}?' if close else '')
  )

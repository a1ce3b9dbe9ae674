"""Checks ImageNet's archives before preparation, and its splits after it.

ImageNet must be downloaded by hand. TFDS builds a data set from whatever it
finds, even from half a download.
"""

import os
import re
import tarfile
from typing import Any

from inception import paths
from inception.errors import UserError, reason

NAME = 'imagenet2012'  # In TFDS.
# Name, size in bytes, and pattern of the names of its members.
_ARCHIVES = (
  ('ILSVRC2012_img_train.tar', 147_897_477_120, r'n\d{8}\.tar'),
  ('ILSVRC2012_img_val.tar', 6_744_924_160, r'ILSVRC2012_val_\d{8}\.JPEG'),
)
_EXAMPLES = {'train': 1_281_167, 'validation': 50_000}


def check_counts(found: dict[str, dict[str, Any]]) -> None:
  """Checks that ImageNet is complete, given the result of `verify`.

  Raises:
    UserError: A split is missing or incomplete.
  """
  for split, count in _EXAMPLES.items():
    examples = found.get(split, {}).get('examples', 0)
    if examples != count:
      raise UserError(
        f'split {split} has {examples:,} images, but ImageNet has {count:,}; it'
        ' was prepared from a sample: delete its folder in --data_dir and'
        ' prepare it again, or pass --sample'
      )


def check_archives(folder: paths.Path | None, sample: bool) -> None:
  """Checks the name, size and first member of both ImageNet archives.

  Args:
    folder: Folder that holds the archives.
    sample: Accept archives of any size.

  Raises:
    UserError: An archive is missing, incomplete, or a different file.
  """
  names = ' and '.join(name for name, _, _ in _ARCHIVES)
  if folder is None:
    raise UserError(
      f'--manual_dir is missing; download {names} from image-net.org and set'
      ' --manual_dir to their folder; do not unpack them'
    )
  for name, size, members in _ARCHIVES:
    path = folder / name
    if not path.is_file():
      raise UserError(
        f'{path} is missing; download {names} from image-net.org into {folder}'
      )
    found = os.path.getsize(path)
    if found != size and not sample:
      raise UserError(
        f'{path} has {found:,} bytes instead of {size:,}: the download is'
        ' incomplete; finish it, or pass --sample to use a part of ImageNet'
      )
    _check_members(path, members)


def _check_members(path: paths.Path, pattern: str) -> None:
  try:
    with tarfile.open(path, 'r:') as archive:
      first = archive.next()
      good = first is not None and bool(re.fullmatch(pattern, first.name))
      if first is not None and good:
        content = archive.extractfile(first)
        good = content is not None and len(content.read()) == first.size
  except (OSError, tarfile.TarError) as error:
    raise UserError(
      f'{path} cannot be read as a tar file: {reason(error)}'
    ) from error
  if not good:
    name = first.name if first is not None else 'nothing'
    raise UserError(
      f'{path} begins with {name}, not with a file like {pattern}; it is'
      ' damaged or a different archive: download it again'
    )

"""Prepares a TFDS data set once, and checks what came of it.

Run:  python -m inception.data.prepare --dataset=imagenet2012 --manual_dir=DIR
      python -m inception.data.prepare --dataset=cifar10
      python -m inception.data.prepare --dataset=folder --data_dir=DIR

ImageNet cannot be downloaded by a program: log in at image-net.org, download
ILSVRC2012_img_train.tar (148 GB) and ILSVRC2012_img_val.tar (6.7 GB), those of
the 2012 challenge, into DIR, and do not unpack them. As much again is written
to --data_dir. A folder of images, DIR/<split>/<class>/<image>, is only checked.
"""

import json
import pathlib
import re
import tarfile
from typing import Any

from absl import flags

from inception import commands
from inception.errors import UserError

IMAGENET = 'imagenet2012'
# Name, bytes, and what the names of the members look like.
_ARCHIVES = (
  ('ILSVRC2012_img_train.tar', 147_897_477_120, r'n\d{8}\.tar'),
  ('ILSVRC2012_img_val.tar', 6_744_924_160, r'ILSVRC2012_val_\d{8}\.JPEG'),
)
_EXAMPLES = {'train': 1_281_167, 'validation': 50_000}
_LOOK_AT = 8  # Images of every split.


def define_flags() -> None:
  """Defines the flags of this command."""
  flags.DEFINE_string('dataset', IMAGENET, 'Its name in TFDS, or folder.')
  flags.DEFINE_string(
    'manual_dir', None, 'Where the tar files of ImageNet are.'
  )
  flags.DEFINE_string(
    'data_dir', None, "Where to write; unset, TFDS's own folder."
  )
  flags.DEFINE_bool(
    'sample', False, 'Take tar files of any size: a part of ImageNet.'
  )
  flags.DEFINE_bool('json', False, 'Print one JSON object as the last line.')


def main() -> None:
  """Reads the flags, checks the tar files, prepares, verifies."""
  values = flags.FLAGS
  manual = None
  if values.manual_dir:
    manual = pathlib.Path(values.manual_dir).expanduser()
  is_imagenet = values.dataset.split(':')[0] == IMAGENET
  if is_imagenet and not is_prepared(values.dataset, values.data_dir):
    check_archives(manual, values.sample)
  if values.dataset != 'folder':
    prepare(values.dataset, manual, values.data_dir)
  found = verify(values.dataset, values.data_dir)
  if is_imagenet and not values.sample:
    check_counts(found)
  for split, facts in found.items():
    print(
      f'{split}: {facts["examples"]:,} images, {facts["classes"]} classes'
      f' ({facts["first_class"]}, ...); looked at {facts["looked_at"]}'
    )
  if values.json:
    print(json.dumps({'dataset': values.dataset, 'splits': found}))


def is_prepared(dataset: str, data_dir: str | None) -> bool:
  """Whether a TFDS data set is built already."""
  from inception.data import datasets  # Slow to import: after the flags.
  from inception.data.tensorflow import tfds

  datasets.check_name(dataset, data_dir)
  return bool(tfds.builder(dataset, data_dir=data_dir).info.splits)


def check_counts(found: dict[str, dict[str, Any]]) -> None:
  """Checks that all of ImageNet is there, given what `verify` found.

  Raises:
    UserError: a split is missing or incomplete.
  """
  for split, count in _EXAMPLES.items():
    examples = found.get(split, {}).get('examples', 0)
    if examples != count:
      raise UserError(
        f'the split {split} has {examples:,} images, ImageNet {count:,}: it was'
        ' made of a sample; delete its folder in --data_dir and prepare again,'
        ' or say --sample'
      )


def check_archives(folder: pathlib.Path | None, sample: bool) -> None:
  """Checks names, sizes and first members of ImageNet's two tar files.

  Args:
    folder: where they are.
    sample: they may be of any size.

  Raises:
    UserError: one is missing, incomplete, or something else.
  """
  names = ' and '.join(name for name, _, _ in _ARCHIVES)
  if folder is None:
    raise UserError(
      f'--manual_dir is missing: download {names} from image-net.org into a'
      ' folder and name it; they need not be unpacked'
    )
  for name, size, members in _ARCHIVES:
    path = folder / name
    if not path.is_file():
      raise UserError(
        f'{path} is missing: download {names} from image-net.org into {folder}'
      )
    found = path.stat().st_size
    if found != size and not sample:
      raise UserError(
        f'{path} has {found:,} bytes, the release {size:,}: the download is'
        ' incomplete; continue it, or take a part of ImageNet with --sample'
      )
    _check_members(path, members)


def prepare(
  dataset: str, manual_dir: pathlib.Path | None, data_dir: str | None
) -> None:
  """Builds a TFDS data set, or finds that it is built.

  Args:
    dataset: its name in TFDS.
    manual_dir: where files are that were downloaded by hand.
    data_dir: where to write; None takes TFDS's own folder.

  Raises:
    UserError: there is no such data set, or TFDS cannot build it.
  """
  from inception.data import datasets  # Slow to import: after the flags.
  from inception.data.tensorflow import tf, tfds

  datasets.check_name(dataset, data_dir)
  try:
    builder = tfds.builder(dataset, data_dir=data_dir)
    builder.download_and_prepare(
      download_config=tfds.download.DownloadConfig(
        manual_dir=str(manual_dir.absolute()) if manual_dir else None
      )
    )
  except (
    AssertionError,
    ValueError,
    ImportError,
    OSError,
    tarfile.TarError,
    tf.errors.OpError,
    tfds.core.registered.DatasetNotFoundError,
    tfds.download.DownloadError,
  ) as error:
    raise UserError(f'cannot prepare {dataset!r}: {error}') from error


def verify(dataset: str, data_dir: str | None) -> dict[str, dict[str, Any]]:
  """Counts every split with labels and decodes some images of it.

  Args:
    dataset: its name in TFDS, or 'folder'.
    data_dir: where it lies; None takes TFDS's own folder.

  Returns:
    `examples`, `classes`, `first_class` and `looked_at`, by split.

  Raises:
    UserError: an image cannot be decoded.
  """
  from configs import default
  from inception.data import datasets, pipeline

  config = default.get_config().data
  config.dataset, config.data_dir = dataset, data_dir
  found = {}
  for split in _splits(dataset, data_dir):
    source = datasets.open_source(config, split)
    count = min(_LOOK_AT, source.num_examples)
    last = f'{split}[-{count}:]'
    share = pipeline.Share(count, 1)
    for part in (f'{split}[:{count}]', last):
      some = datasets.open_source(config, part)
      for _ in pipeline.eval_batches(some, config, share):
        pass
    found[split] = {
      'examples': source.num_examples,
      'classes': len(source.classes),
      'first_class': source.classes[0],
      'looked_at': count,
    }
  return found


def _splits(dataset: str, data_dir: str | None) -> list[str]:
  """Returns the splits that have images with labels."""
  from inception.data import folder
  from inception.data.tensorflow import tfds

  if dataset == 'folder':
    if data_dir is None:
      raise UserError('--data_dir is missing: the folder with <split>/<class>/')
    return folder.split_folders(pathlib.Path(data_dir).expanduser())
  splits = tfds.builder(dataset, data_dir=data_dir).info.splits
  unlabelled = ['test'] if dataset.split(':')[0] == IMAGENET else []
  return [
    name
    for name, info in splits.items()
    if info.num_examples and name not in unlabelled
  ]


def _check_members(path: pathlib.Path, pattern: str) -> None:
  try:
    with tarfile.open(path, 'r:') as archive:
      first = archive.next()
      good = first is not None and bool(re.fullmatch(pattern, first.name))
      if first is not None and good:
        content = archive.extractfile(first)
        good = content is not None and len(content.read()) == first.size
  except (OSError, tarfile.TarError) as error:
    raise UserError(f'{path} cannot be read as a tar file: {error}') from error
  if not good:
    name = first.name if first is not None else 'nothing'
    raise UserError(
      f'{path} begins with {name}, not with a file like {pattern}; it is'
      ' another archive, or damaged'
    )


if __name__ == '__main__':
  commands.run(main, define_flags)

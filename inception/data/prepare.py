"""Prepares a TFDS data set once and checks the result.

Run:  python -m inception.data.prepare --dataset=imagenet2012 --manual_dir=DIR
      python -m inception.data.prepare --dataset=cifar10
      python -m inception.data.prepare --dataset=folder --data_dir=DIR

ImageNet must be downloaded by hand: log in at image-net.org and download the
archives of the 2012 challenge, ILSVRC2012_img_train.tar (148 GB) and
ILSVRC2012_img_val.tar (6.7 GB), into DIR; do not unpack them. The data set
needs the same disk space again in --data_dir. A folder of images,
DIR/<split>/<class>/<image>, needs no preparation; it is only checked. The exit
status is 1 if it finds errors that would stop a run.
"""

import tarfile
from typing import Any

from absl import flags
import ml_collections

from inception import paths
from inception.cli import commands, shared
from inception.data import imagenet
from inception.errors import UserError, count, reason
from inception.files import json_text

# Images decoded from each end of every split, as a check.
_CHECKED = 8
# TFDS's own 10 would retry for three minutes without a connection; these take
# three seconds.
_DOWNLOAD_RETRIES = 4


def define_flags() -> None:
  """Defines the flags of this command."""
  flags.DEFINE_string('dataset', imagenet.NAME, "Name in TFDS, or 'folder'.")
  flags.DEFINE_string('manual_dir', None, 'Folder of the ImageNet archives.')
  flags.DEFINE_string(
    'data_dir', None, "Folder of data sets. Unset: TFDS's default."
  )
  flags.DEFINE_bool(
    'decode', False, 'Decode every image of a folder, to find damaged ones.'
  )
  shared.define_fraction(
    'max_broken', 0.0, 'Fraction of broken files that a run would tolerate.'
  )
  flags.DEFINE_bool(
    'sample', False, 'Accept archives of any size, for a part of ImageNet.'
  )
  flags.DEFINE_bool('json', False, 'Print one JSON object as the last line.')


def main() -> int:
  """Reads the flags, checks the archives, prepares and verifies."""
  values = flags.FLAGS
  data_dir = values.data_dir
  if data_dir is not None:
    data_dir = str(paths.resolve(data_dir, '--data_dir'))
  if values.dataset == 'folder':
    for name in ('manual_dir', 'sample'):
      if flags.FLAGS[name].present:
        raise UserError(f'--{name} does not go with --dataset=folder')
    return _check_folder(data_dir)
  manual = None
  if values.manual_dir is not None:
    manual = paths.resolve(values.manual_dir, '--manual_dir')
  is_imagenet = values.dataset.split(':')[0] == imagenet.NAME
  if is_imagenet and not is_prepared(values.dataset, data_dir):
    imagenet.check_archives(manual, values.sample)
  prepare(values.dataset, manual, data_dir)
  found = verify(values.dataset, data_dir)
  if is_imagenet and not values.sample:
    imagenet.check_counts(found)
  for split, facts in found.items():
    print(
      f'{split}: {count(facts["examples"], "image")},'
      f' {count(facts["classes"], "class")}'
      f' ({facts["first_class"]}, ...); decoded the first and the last'
      f' {facts["decoded_each_end"]}'
    )
  if values.json:
    print(json_text.dump({'dataset': values.dataset, 'splits': found}))
  return 0


def _check_folder(data_dir: str | None) -> int:
  """Checks a folder of images, prints a report and returns the exit status."""
  from inception.data import check_folder  # Slow to import: after the flags.

  if data_dir is None:
    raise UserError(
      '--data_dir is missing; set it to a folder with <split>/<class>/'
    )
  values = flags.FLAGS
  report = check_folder.check(
    paths.Path(data_dir), values.decode, values.max_broken
  )
  print('\n'.join(report.lines()))
  if not values.decode:
    print('images were not decoded; pass --decode to find damaged ones')
  if values.json:
    splits = {
      split: {'examples': len(found.files), 'classes': found.classes}
      for split, found in report.splits.items()
    }
    result = {
      'dataset': 'folder',
      'splits': splits,
      'errors': report.errors,
      'warnings': report.warnings,
      'broken': report.broken,
    }
    print(json_text.dump(result))
  return 1 if report.errors else 0


def is_prepared(dataset: str, data_dir: str | None) -> bool:
  """True if a TFDS data set is already built."""
  # Slow to import: after the flags.
  from inception.data.sources import builder, catalog

  catalog.check_tfds_name(dataset, data_dir)
  return bool(builder.make_builder(dataset, data_dir).info.splits)


def prepare(
  dataset: str, manual_dir: paths.Path | None, data_dir: str | None
) -> None:
  """Builds a TFDS data set unless it is already built.

  Args:
    dataset: Name in TFDS.
    manual_dir: Folder of files downloaded by hand, if any.
    data_dir: Folder of data sets; None means TFDS's default.

  Raises:
    UserError: There is no such data set, or TFDS cannot build it.
  """
  from inception.data.sources import catalog  # Slow to import: after the flags.
  from inception.data.tensorflow import downloader, tf, tfds

  catalog.check_tfds_name(dataset, data_dir)
  downloader.MAX_RETRIES = _DOWNLOAD_RETRIES
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
    raise UserError(f'cannot prepare {dataset!r}: {reason(error)}') from error


def verify(dataset: str, data_dir: str | None) -> dict[str, dict[str, Any]]:
  """Counts the examples of every labeled split and decodes some of them.

  Arguments are those of `prepare`.

  Returns:
    `examples`, `classes`, `first_class` and `decoded_each_end`, by split.

  Raises:
    UserError: An image cannot be decoded.
  """
  from inception.config import default
  from inception.data.sources import catalog

  config = default.get_config().data
  config.dataset, config.data_dir = dataset, data_dir
  found = {}
  for split in _splits(dataset, data_dir):
    source = catalog.open_source(config, split)
    count = min(_CHECKED, source.num_examples)
    _decode(config, f'{split}[:{count}]')
    _decode(config, f'{split}[-{count}:]')
    found[split] = {
      'examples': source.num_examples,
      'classes': len(source.classes),
      'first_class': source.classes[0],
      'decoded_each_end': count,
    }
  return found


def _decode(config: ml_collections.ConfigDict, split: str) -> None:
  from inception.data import pipeline
  from inception.data.sources import catalog

  source = catalog.open_source(config, split)
  shard = pipeline.HostShard(source.num_examples, 1)
  for _ in pipeline.eval_batches(source, config, shard):
    pass


def _splits(dataset: str, data_dir: str | None) -> list[str]:
  """Returns the names of the splits whose images have labels."""
  from inception.data.sources import builder

  splits = builder.make_builder(dataset, data_dir).info.splits
  unlabeled = ['test'] if dataset.split(':')[0] == imagenet.NAME else []
  return [
    name
    for name, info in splits.items()
    if info.num_examples and name not in unlabeled
  ]


if __name__ == '__main__':
  commands.run(main, define_flags)

"""Compares generated images with real ones: FID and its relatives.

Run:  python -m inception.generative --generated=samples --real=train.npz
      python -m inception.generative --generated=samples.npz
      python -m inception.generative --generated=photos --crop=256
        --save_statistics=photos256.npz

Images are a folder or .zip of pictures, an .npz or .npy of uint8 [images,
height, width, 3], or tfds:NAME:SPLIT. The real side may be a file of statistics
instead. Without it, IS is computed, and statistics are saved.
"""

import os
from typing import Any

from absl import flags

from inception import paths
from inception.cli import commands, outputs, shared
from inception.errors import UserError
from inception.files import json_text


def define_flags() -> None:
  """Defines the flags of this command."""
  flags.DEFINE_string(
    'generated', None, 'Generated images, or their statistics.'
  )
  flags.DEFINE_string('real', None, 'Real images, or their statistics.')
  flags.DEFINE_list(
    'metrics',
    None,
    'Any of fid, sfid, is, kid, precision_recall, density_coverage,'
    ' fid_infinity, mind; by default the first five, where possible.',
  )
  flags.DEFINE_string(
    'mode', 'tf1', 'How images are resized: tf1, pytorch, clean, torchmetrics.'
  )
  flags.DEFINE_string(
    'weights',
    'inception_v3_fid.2015-12-05',
    'Folder or name of the weights of inception_v3_fid.',
  )
  flags.DEFINE_integer(
    'num_images', None, 'Generated images to use, the first ones.', 2
  )
  flags.DEFINE_integer(
    'crop', None, "Crop images to this side, with ADM's steps.", 1, 4096
  )
  flags.DEFINE_string('data_dir', None, 'Folder of TFDS data sets.')
  flags.DEFINE_enum(
    'is_order',
    'shuffled',
    ['shuffled', 'files'],
    "Splits of IS: torch-fidelity's, of shuffled images, or ADM's, in order.",
  )
  flags.DEFINE_integer('kid_subset_size', 1000, 'Images in a subset of KID.', 2)
  flags.DEFINE_integer(
    'bootstrap', 0, 'Resamples for standard errors of FID and KID.', 0, 10**6
  )
  flags.DEFINE_string(
    'save_statistics', None, 'The .npz file for statistics of --generated.'
  )
  flags.DEFINE_bool(
    'save_features', False, 'Store features and logits with the statistics.'
  )
  flags.DEFINE_bool(
    'float32_mean', False, 'Store the mean in float32, as ADM does.'
  )
  shared.define_batch_size(None, 'Images per step; by default 32 per device.')
  flags.DEFINE_string('precision', 'float32', 'float32, bfloat16 or float16.')
  flags.DEFINE_bool('json', False, 'Print one JSON object as the last line.')


def main() -> None:
  """Measures, and prints values with what is needed to repeat them."""
  values = flags.FLAGS
  where = shared.require('generated', 'samples')
  output = shared.output(
    'save_statistics', lambda path, name: outputs.resolve(path, name, ('.npz',))
  )
  for name in ('generated', 'real'):
    if output is not None and _is_same(values[name].value, output):
      raise UserError(f'--save_statistics would overwrite --{name}={output}')
  if output is None and (values.save_features or values.float32_mean):
    raise UserError('there is no --save_statistics to store anything in')
  shared.use_compilation_cache()
  # Slow imports come after the flags.
  from inception.generative import comparison, metric_choices, statistics_files

  compared = comparison.compare(
    where,
    values.real,
    comparison.Options(
      metrics=values.metrics,
      mode=values.mode,
      weights=values.weights,
      data_dir=values.data_dir,
      precision=values.precision,
      num_images=values.num_images,
      crop=values.crop,
      batch_size=values.batch_size,
      keep_all=values.save_features,
      choices=metric_choices.Choices(
        values.is_order,
        subset_size=values.kid_subset_size,
        bootstrap=values.bootstrap,
      ),
    ),
  )
  if output is not None:
    statistics_files.write_statistics(
      output, compared.generated, values.float32_mean
    )
  _print(compared.report, output)


def _print(report: dict[str, Any], output: paths.Path | None) -> None:
  """Prints values as a table, then facts."""
  scores, facts = report['scores'], report['facts']
  rows = [
    (name, f'{score["value"]:.6g}', _spread(score))
    for name, score in scores.items()
  ]
  if rows:
    print(outputs.format_table(('metric', 'value', 'spread'), rows))
  if left_out := report['left_out']:
    reasons = '; '.join(f'{name}: {why}' for name, why in left_out.items())
    print(f'left out: {reasons}')
  print('\n'.join(f'{name}: {value}' for name, value in facts.items()))
  if output is not None:
    print(f'statistics: {output}')
  if flags.FLAGS.json:
    print(json_text.dump(report))


def _spread(score: dict[str, float]) -> str:
  """Returns how a value varies, such as '0.0123 standard error'."""
  kinds = (name for name in score if name != 'value')
  return ', '.join(
    f'{score[name]:.3g} {name.replace("_", " ")}' for name in kinds
  )


def _is_same(where: str | None, output: paths.Path) -> bool:
  """True if a side is the file to be written."""
  if where is None or where.startswith('tfds:'):
    return False
  return os.path.realpath(paths.resolve(where)) == os.path.realpath(output)


if __name__ == '__main__':
  commands.run(main, define_flags)

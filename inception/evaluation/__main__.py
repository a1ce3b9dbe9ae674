"""Evaluates a checkpoint, or published weights.

Run:  python -m inception.evaluation --workdir=runs/digits --step=best
      python -m inception.evaluation --workdir=inception_v3.tv_in1k
        --dataset=folder --data_dir=imagenet --split=val --crops=10
      python -m inception.evaluation --ensemble=runs/a,runs/b --precision=int8

A checkpoint contains its config; nothing else is needed. See
docs/evaluation.md.
"""

import signal

if __name__ == '__main__':
  # Ctrl-C ends the program without a traceback, even during imports.
  signal.signal(signal.SIGINT, signal.SIG_DFL)

import re
import sys
from typing import Any

from absl import flags

from inception import paths
from inception.cli import commands, outputs, shared
from inception.errors import UserError
from inception.files import json_text

_DIGITS = 9  # Maximum length of a class index, far more than needed.


def define_flags() -> None:
  """Defines the flags of this command."""
  shared.define_workdir()
  flags.DEFINE_list(
    'ensemble', None, 'Workdirs of networks to average; replaces --workdir.'
  )
  flags.DEFINE_string(
    'step', 'latest', 'Checkpoint: a step, best (by top-1) or latest.'
  )
  flags.DEFINE_string(
    'split', None, "Split in TFDS slicing syntax; by default the config's."
  )
  shared.define_batch_size(
    None, "Batch size, counted in crops; by default the config's."
  )
  flags.DEFINE_string(
    'dataset', None, "Name in TFDS, or 'folder'; by default the config's."
  )
  flags.DEFINE_string(
    'data_dir', None, "Folder of the data set; by default the config's."
  )
  flags.DEFINE_enum(
    'precision',
    None,
    ['float32', 'bfloat16', 'float16', 'int8'],
    'Arithmetic; by default as in training.',
  )
  shared.define_calibration()
  shared.define_crops()
  flags.DEFINE_string(
    'labels', None, "ImageNet's reassessed labels: 'real' or a file."
  )
  flags.DEFINE_string(
    'classes', None, 'File of class indices; predict only these classes.'
  )
  flags.DEFINE_string(
    'output',
    None,
    'Folder for the results; by default the workdir, or the current folder for'
    ' published weights.',
  )
  flags.DEFINE_string(
    'report', None, 'HTML page to write, with classes, confusions and mistakes.'
  )
  shared.define_processes()
  flags.DEFINE_bool('json', False, 'Print one JSON object as the last line.')


def main() -> None:
  """Reads the flags, evaluates, prints and writes the results."""
  workdirs = _workdirs()
  shared.use_compilation_cache()
  # Slow imports come after the flags.
  from inception.config import default
  from inception.evaluation import results as files
  from inception.evaluation.workdir import open_workdir
  from inception.processes import distributed, session
  from inception.reports import per_class

  values = flags.FLAGS
  page = shared.output('report')
  output = _output(workdirs[0])
  with session.session(
    values.coordinator,
    values.num_processes,
    values.process_id,
    default.get_config().distributed.timeout_seconds,
  ):
    opened = open_workdir(
      workdirs,
      values.step,
      values.split,
      values.batch_size,
      values.dataset,
      values.data_dir,
      protocol=_protocol(),
    )
    results = opened.results()
    if not distributed.is_first():
      return
    print(files.format_results(results))
    if values.json:
      print(json_text.dump(results))
    # Written last, so an unwritable workdir does not lose the results.
    sys.stdout.flush()
    paths.make_writable(output)
    path = files.write_results(output, results)
    if not values.json:
      print(f'written to {path}')
    if page is not None:
      paths.write_atomically(page, per_class.render(results, opened.details()))
      print(f'page: {page}', file=sys.stderr if values.json else sys.stdout)


def _workdirs() -> list[str]:
  """Returns --workdir as a list, or --ensemble."""
  ensemble = flags.FLAGS.ensemble
  if ensemble == []:
    raise UserError('--ensemble is empty; try --ensemble=runs/a,runs/b')
  if ensemble is None:
    return [shared.require('workdir')]
  if flags.FLAGS.workdir is not None:
    raise UserError('--ensemble replaces --workdir; give only one of them')
  return ensemble


def _output(workdir: str) -> paths.Path:
  """Returns --output, the workdir, or '.' if that is a published name."""
  from inception.pretrained import by_name

  default = '.' if by_name.is_name(workdir) else workdir
  return shared.output('output', outputs.folder) or paths.resolve(default)


def _protocol() -> Any:
  from inception.evaluation.members import Procedure
  from inception.quantization.quantize import Calibration

  values = flags.FLAGS
  if values.precision != 'int8':
    for name in ('calibration_images', 'calibration', 'float_layers'):
      if values[name].present:
        raise UserError(f'--{name} needs --precision=int8')
  return Procedure(
    values.precision,
    int(values.crops),
    Calibration(**shared.calibration()),
    _only(values.classes),
    values.labels,
  )


def _only(name: str | None) -> tuple[int, ...] | None:
  """Reads the indices in --classes, with any separators between them."""
  if name is None:
    return None
  path = paths.resolve(name, '--classes')
  texts = re.findall(r'-?\d+', paths.read_text(path))
  if long := [text for text in texts if len(text) > _DIGITS]:
    raise UserError(f'{path} has a number of {len(long[0])} digits')
  indices = tuple(map(int, texts))
  if not indices:
    raise UserError(f'{path} contains no class indices')
  return indices


if __name__ == '__main__':
  commands.run(main, define_flags)

"""Evaluates a checkpoint: python eval.py --workdir=DIR [--step=best] [--json].

The checkpoint contains its config; nothing else is needed.
"""

import signal

if __name__ == '__main__':
  # Ctrl-C ends the program without a traceback, also while it imports.
  signal.signal(signal.SIGINT, signal.SIG_DFL)

import json
import sys

from absl import flags

from inception import commands, paths


def define_flags() -> None:
  """Defines the flags of this command."""
  flags.DEFINE_string(
    'workdir', None, 'Workdir of a run, or a folder of imported weights.'
  )
  flags.DEFINE_string(
    'step', 'latest', 'Checkpoint: a step, best (by top-1) or latest.'
  )
  flags.DEFINE_string(
    'split', None, "Split in TFDS slicing syntax; by default the config's."
  )
  flags.DEFINE_integer(
    'batch_size',
    None,
    "Images in a batch, any number; by default the config's.",
    lower_bound=1,
  )
  flags.DEFINE_string(
    'dataset', None, "Name in TFDS, or 'folder'; by default the config's."
  )
  flags.DEFINE_string(
    'data_dir', None, "Folder of the data set; by default the config's."
  )
  flags.DEFINE_string(
    'report', None, 'HTML page of classes, confusions and mistakes to write.'
  )
  commands.define_processes()
  flags.DEFINE_bool('json', False, 'Print one JSON object as the last line.')


def main() -> None:
  """Reads the flags, evaluates, prints and writes the results."""
  workdir = paths.resolve(commands.require('workdir'))
  # Slow imports come after the flags.
  from inception import distributed, session
  from inception.config import default
  from inception.evaluation import workdir as evaluation
  from inception.reports import classes

  values = flags.FLAGS
  with session.session(
    values.coordinator,
    values.num_processes,
    values.process_id,
    default.get_config().distributed.timeout_seconds,
  ):
    opened = evaluation.open_workdir(
      workdir,
      values.step,
      values.split,
      values.batch_size,
      values.dataset,
      values.data_dir,
    )
    results = opened.results()
    if not distributed.is_first():
      return
    print(evaluation.format_results(results))
    if values.json:
      print(json.dumps(results))
    # Last: the results of a workdir that cannot be written are not lost.
    sys.stdout.flush()
    path = evaluation.write_results(workdir, results)
    if not values.json:
      print(f'written to {path}')
    if values.report is not None:
      page = paths.resolve(values.report, '--report')
      classes.write_page(page, results, opened.details())
      print(f'page: {page}', file=sys.stderr if values.json else sys.stdout)


if __name__ == '__main__':
  commands.run(main, define_flags)

"""Evaluates a checkpoint: python eval.py --workdir=DIR [--step=best] [--json].

The checkpoint carries its config: nothing else is needed.
"""

import json
import pathlib

from absl import flags

from inception import commands


def define_flags() -> None:
  """Defines the flags of this command."""
  flags.DEFINE_string('workdir', None, 'Workdir of the run.')
  flags.DEFINE_string(
    'step', 'latest', 'Checkpoint: a step, best (by top-1) or latest.'
  )
  flags.DEFINE_string(
    'split', None, "Split in TFDS slicing syntax; unset, the config's."
  )
  flags.DEFINE_integer(
    'batch_size',
    None,
    "Images at a time, any number; unset, the config's.",
    lower_bound=1,
  )
  flags.DEFINE_string(
    'dataset', None, "TFDS name or folder; unset, the config's."
  )
  flags.DEFINE_string(
    'data_dir', None, "Where the data set lies; unset, the config's."
  )
  flags.DEFINE_bool('json', False, 'Print one JSON object as the last line.')


def main() -> None:
  """Reads the flags, evaluates, prints and writes the results."""
  workdir = pathlib.Path(commands.require('workdir'))
  from inception.evaluation import (
    evaluate,
    restore,  # Slow to import: after the flags.
  )

  values = flags.FLAGS
  results = restore.evaluate_workdir(
    workdir,
    values.step,
    values.split,
    values.batch_size,
    values.dataset,
    values.data_dir,
  )
  path = restore.write_results(workdir, results)
  print(evaluate.report(results))
  print(f'written to {path}')
  if values.json:
    print(json.dumps(results))


if __name__ == '__main__':
  commands.run(main, define_flags)

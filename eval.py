"""Evaluates a checkpoint: python eval.py --workdir=DIR [--step=best] [--json].

The checkpoint contains its config; nothing else is needed.
"""

import json
import pathlib

from absl import flags

from inception import commands


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
  flags.DEFINE_bool('json', False, 'Print one JSON object as the last line.')


def main() -> None:
  """Reads the flags, evaluates, prints and writes the results."""
  workdir = pathlib.Path(commands.require('workdir'))
  commands.import_tensorflow()  # Slow imports come after the flags.
  from inception.evaluation import workdir as evaluation

  values = flags.FLAGS
  results = evaluation.evaluate_workdir(
    workdir,
    values.step,
    values.split,
    values.batch_size,
    values.dataset,
    values.data_dir,
  )
  path = evaluation.write_results(workdir, results)
  print(evaluation.format_results(results))
  print(f'written to {path}')
  if values.json:
    print(json.dumps(results))


if __name__ == '__main__':
  commands.run(main, define_flags)

"""Quantizes a trained network to int8, without further training.

Run:  python -m inception.quantization --workdir=runs/v3 --output=v3_int8

The int8 checkpoint is about a quarter of the size; `eval.py`,
`inception.predict` and `load_pretrained` read it like any other.
"""

from absl import flags

from inception.cli import commands, outputs, shared
from inception.files import json_text


def define_flags() -> None:
  """Defines the flags of this command."""
  shared.define_workdir()
  flags.DEFINE_string('step', 'latest', "A step, 'best' or 'latest'.")
  flags.DEFINE_string('output', None, 'Folder to write the checkpoint to.')
  flags.DEFINE_string(
    'dataset', None, "Data set of the training images; by default the config's."
  )
  flags.DEFINE_string(
    'data_dir', None, "Folder of the data set; by default the config's."
  )
  flags.DEFINE_string(
    'split', None, "Split of the training images; by default the config's."
  )
  shared.define_calibration()
  flags.DEFINE_bool('json', False, 'Print one JSON object as the last line.')


def main() -> None:
  """Quantizes the weights and writes the checkpoint."""
  workdir = shared.require('workdir', 'runs/v3')
  output = outputs.folder(
    shared.require('output', 'weights/v3_int8'), '--output'
  )
  # Slow imports come after the flags.
  from inception.checkpoints import weights
  from inception.checkpoints.restore import load_variables
  from inception.pretrained import by_name
  from inception.quantization import quantize

  values = flags.FLAGS
  weights.check_new(output)
  loaded = load_variables(by_name.find(workdir), values.step)
  data = loaded.config.data.copy_and_resolve_references()
  data.dataset = values.dataset or data.dataset
  data.data_dir = values.data_dir or data.data_dir
  data.train_split = values.split or data.train_split
  calibration = quantize.Calibration(**shared.calibration())
  config, variables = quantize.quantize_loaded(
    workdir, loaded, data, calibration
  )
  weights.write(output, variables, config, loaded.step)
  report = {'step': loaded.step, 'output': str(output)}
  print('\n'.join(f'{name}: {value}' for name, value in report.items()))
  if values.json:
    print(json_text.dump(report))


if __name__ == '__main__':
  commands.run(main, define_flags)

"""Writes a trained network as a file that runs without this project.

Run:  python -m inception.export --workdir=runs/v3 --output=v3.onnx
      python -m inception.export --workdir=runs/v3 --output=v3.tflite
      python -m inception.export --workdir=runs/v3 --output=v3.jaxexport
      python -m inception.export --workdir=v3_int8 --output=v3_int8.onnx

The file is run in its own runtime, and compared with the network, before it is
written.
"""

import os
import sys

from absl import flags

from inception import paths
from inception.cli import commands, shared
from inception.errors import UserError
from inception.files import json_text


def define_flags() -> None:
  """Defines the flags of this command."""
  shared.define_workdir()
  flags.DEFINE_string('step', 'latest', "A step, 'best' or 'latest'.")
  flags.DEFINE_string('output', None, 'The file; must not exist.')
  flags.DEFINE_string(
    'format',
    None,
    'onnx, litert, saved_model or stablehlo; by default, as --output ends.',
  )
  flags.DEFINE_string(
    'precision', None, 'float32 (default) or float16; int8 weights stay int8.'
  )
  flags.DEFINE_string(
    'input',
    'pixels',
    'pixels: uint8, normalized by the file; or normalized: float32.',
  )
  flags.DEFINE_list(
    'outputs', ['logits'], 'Any of logits, probabilities and PreLogits.'
  )
  flags.DEFINE_string('batch_size', 'any', 'Images per call: a number, or any.')
  flags.DEFINE_integer(
    'image_size', None, "Height and width; by default the config's.", 1, 4096
  )
  flags.DEFINE_list(
    'platforms', None, 'Of stablehlo: any of cpu, cuda, rocm, tpu.'
  )
  flags.DEFINE_string(
    'activations', None, 'Of int8 in onnx: signed (default) or unsigned.'
  )
  flags.DEFINE_integer(
    'check', 16, 'Images to compare on; 0: do not compare.', 0, 2**16
  )
  flags.DEFINE_bool('json', False, 'Print one JSON object as the last line.')


def main() -> int | None:
  """Exports, and prints what was written."""
  values = flags.FLAGS
  workdir = shared.require('workdir', 'runs/v3')
  output = shared.require('output', 'v3.onnx')
  batch_size = _batch_size(values.batch_size)
  shared.use_compilation_cache()
  # Slow imports come after the flags.
  from inception.export import writing
  from inception.predict.load import load_pretrained

  how = {
    name: tuple(value) if isinstance(value, list) else value
    for name in ('input', 'outputs', 'platforms', 'activations')
    if (value := values[name].value) is not None
  }
  try:
    written = writing.write(
      load_pretrained(workdir, values.step),
      output,
      values.format,
      precision=values.precision,
      check_images=values.check,
      image_size=values.image_size,
      batch_size=batch_size,
      **how,
    )
  except writing.DifferentError as error:
    print(f'error: {error}', file=sys.stderr)
    return 1
  report = {
    'file': str(written.path),
    'bytes': _size(written.path),
    **{
      name: written.facts[name]
      for name in ('architecture', 'step', 'precision', 'input', 'image_size')
    },
  }
  if written.comparison is not None:
    compared = written.comparison
    report['compared_on'] = f'{compared.images} {written.images}'
    report['difference'] = float(f'{compared.difference:.2g}')
    if compared.same_class is not None:
      report['same_class'] = compared.same_class
  print('\n'.join(f'{name}: {value}' for name, value in report.items()))
  if values.json:
    print(json_text.dump(report))
  return None


def _size(path: paths.Path) -> int:
  """Returns the bytes of a file, or of all files in a folder."""
  if path.is_file():
    return os.path.getsize(path)
  return sum(
    os.path.getsize(os.path.join(folder, name))
    for folder, _, names in paths.walk(path)
    for name in names
  )


def _batch_size(text: str) -> int | None:
  if text == 'any':
    return None
  if not text.isdecimal():
    raise UserError(f'--batch_size={text} is neither a number nor any')
  return int(text)


if __name__ == '__main__':
  commands.run(main, define_flags)

"""Classifies image files.

Run:  python -m inception.predict --workdir=runs/digits --images=pictures
        [--top=5] [--crops=1|10|12|144] [--csv=F] [--json] [--explain=FOLDER]
      python -m inception.predict --workdir=weights/v3 --images='*.jpg'
        --endpoint=PreLogits --output=features.npz

Files that are not images are reported and skipped; the exit status is then 1.
"""

from collections.abc import Iterator
import contextlib
import csv
import sys
from typing import Any

from absl import flags
import tqdm

from inception import paths
from inception.cli import commands, outputs, shared
from inception.errors import UserError, count, warn
from inception.files import json_text

# Flags for classification only, and for --endpoint only.
_OF_CLASSES = ('top', 'crops', 'csv', 'explain')
_OF_FEATURES = ('normalize', 'output')


def define_flags() -> None:
  """Defines the flags of this command."""
  shared.define_workdir()
  flags.DEFINE_string('step', 'latest', "A step, 'best' or 'latest'.")
  flags.DEFINE_multi_string(
    'images', None, 'Files, folders or glob patterns, separated by commas.'
  )
  flags.DEFINE_integer('top', 5, 'Classes per image.', lower_bound=1)
  shared.define_crops()
  flags.DEFINE_enum(
    'precision',
    None,
    ['float32', 'bfloat16', 'float16'],
    'Arithmetic; float32 if unset, or int8 for a quantized network.',
  )
  shared.define_batch_size(None, 'Images, or crops, per step and device.')
  flags.DEFINE_string('csv', None, 'CSV file to write the classes to.')
  flags.DEFINE_string(
    'explain', None, 'Folder for Grad-CAM heat maps of the top class.'
  )
  flags.DEFINE_string(
    'endpoint', None, 'Write the output of this stage instead of classes.'
  )
  flags.DEFINE_bool('normalize', False, 'Divide features by their L2 norm.')
  flags.DEFINE_string('output', 'features.npz', 'File for --endpoint.')
  flags.DEFINE_bool('json', False, 'Print one JSON object as the last line.')


def main() -> int:
  """Runs the network on the images; returns the exit status."""
  workdir = shared.require('workdir')
  shared.require('images', 'pictures')
  shared.use_compilation_cache()
  # Slow imports come after the flags.
  from inception.predict import stream
  from inception.predict.load import load_pretrained

  values = flags.FLAGS
  _check_flags()
  files = stream.find_files(values.images)
  network = load_pretrained(workdir, values.step, values.precision)
  if values.endpoint is not None:
    results, failures = _write_features(network, files)
  else:
    results, failures = _write_classes(network, files)
  if failures:
    warn(f'{len(failures)} of {count(len(files), "file")} failed')
  if values.json:
    failed = {failure.file: failure.reason for failure in failures}
    print(json_text.dump({**results, 'failed': failed}))
  return 1 if failures else 0


def _check_flags() -> None:
  """Checks that the flags are compatible and that files can be written."""
  values = flags.FLAGS
  with_endpoint = values.endpoint is not None
  for name in _OF_CLASSES if with_endpoint else _OF_FEATURES:
    if values[name].present:
      raise UserError(
        f'--{name} cannot be used with --endpoint={values.endpoint}'
        if with_endpoint
        else f'--{name} needs --endpoint'
      )
  if values.explain and values.crops != '1':
    raise UserError(f'--explain needs --crops=1, not {values.crops}')
  shared.output('explain', outputs.folder)
  if with_endpoint:
    outputs.resolve(values.output, '--output', ['.npz'])
  shared.output('csv')


def _write_classes(network: Any, files: list[str]) -> tuple[dict, list]:
  """Prints a table, and writes the CSV file and the explanations."""
  from inception.predict import explain

  values = flags.FLAGS
  crops = int(values.crops)
  function = (
    network.explain(values.top)
    if values.explain
    else network.classify(values.top, crops)
  )
  failures: list[Any] = []
  rows = []
  width = min(40, max(map(len, files)))
  print(f'{"image":{width}}  probability  class')
  with contextlib.ExitStack() as stack:
    table = _open_csv(stack, values.csv)
    for file, result in _stream(network, files, function, failures, crops):
      prediction = network.name(file, result)
      if _is_failure(prediction, failures):
        continue
      _print(prediction, width)
      pairs = list(zip(prediction.classes, prediction.probabilities))
      rows.append({'file': file, 'classes': [[n, p] for n, p in pairs]})
      for rank, (name, probability) in enumerate(pairs, 1):
        if table is not None:
          table.writerow([file, rank, name, probability])
      if values.explain:
        if result['heat'].size == 1 and len(rows) == 1:
          warn('the last grid is one cell, so heat maps have a single color')
        shape = explain.proportions(file, network.config.data)
        output = _explanation(file, len(rows))
        explain.draw(
          result['image'], result['heat'], _title(prediction), output, shape
        )
        rows[-1]['explanation'] = str(output)
  for name in ('csv', 'explain'):
    if flags.FLAGS[name].value and rows:
      print(f'{name}: {flags.FLAGS[name].value}')
  return {'images': rows}, failures


def _write_features(network: Any, files: list[str]) -> tuple[dict, list]:
  """Writes features to an .npz file."""
  import numpy as np

  values = flags.FLAGS
  output = paths.resolve(values.output, '--output')
  failures: list[Any] = []
  function = network.extract(values.endpoint, values.normalize)
  rows = list(_stream(network, files, function, failures))
  if not rows:
    return {'output': None}, failures
  features = np.stack([row for _, row in rows])
  with paths.replace(output) as content:
    np.savez(content, features=features, files=[file for file, _ in rows])
  shape = ' x '.join(map(str, features.shape))
  print(f'features: {output}, {values.endpoint}, {shape}')
  return {'output': str(output), 'shape': features.shape}, failures


def _stream(
  network: Any,
  files: list[str],
  function: Any,
  failures: list[Any],
  crops: int = 1,
) -> Iterator[tuple[str, Any]]:
  """Yields the results of images; reports files that are not images."""
  rows = network.stream(files, function, flags.FLAGS.batch_size, crops)
  hidden = not sys.stderr.isatty()
  with tqdm.tqdm(total=len(files), unit='image', disable=hidden) as bar:
    for file, result in rows:
      bar.update()
      if not _is_failure(result, failures):
        yield file, result


def _is_failure(result: Any, failures: list[Any]) -> bool:
  """True for a `Failure`, which is added to `failures` and reported."""
  from inception.predict.failure import Failure

  if not isinstance(result, Failure):
    return False
  warn(f'{_printable(result.file)}: {result.reason}')
  failures.append(result)
  return True


def _open_csv(stack: contextlib.ExitStack, name: str | None) -> Any:
  if name is None:
    return None
  path = paths.resolve(name, '--csv')
  try:
    file = open(  # noqa: SIM115, the stack closes it.
      path, 'w', newline='', encoding='utf-8', errors='surrogateescape'
    )
  except OSError as error:
    raise UserError(f'cannot write {path}: {error.strerror}') from error
  table = csv.writer(stack.enter_context(file))
  table.writerow(['file', 'rank', 'class', 'probability'])
  return table


def _print(prediction: Any, width: int) -> None:
  name = _printable(prediction.file)
  if len(name) > width:
    name = '...' + name[3 - width :]
  for label, probability in zip(prediction.classes, prediction.probabilities):
    tqdm.tqdm.write(f'{name:{width}}  {probability:11.2%}  {label}')
    name = ''


def _printable(name: str) -> str:
  """Returns a file's name with control characters escaped."""
  return ''.join(
    c if c.isprintable() else c.encode('unicode_escape').decode() for c in name
  )


def _explanation(file: str, number: int) -> paths.Path:
  """Returns the path of the heat map for an image."""
  folder = paths.resolve(flags.FLAGS.explain, '--explain')
  paths.make_writable(folder)
  return folder / f'{number:04d}_{paths.resolve(file).stem}.png'


def _title(prediction: Any) -> str:
  name = paths.resolve(prediction.file).name
  likeliest = prediction.classes[0], prediction.probabilities[0]
  return f'{_printable(name)}: {likeliest[0]}, {likeliest[1]:.1%}'


if __name__ == '__main__':
  commands.run(main, define_flags)

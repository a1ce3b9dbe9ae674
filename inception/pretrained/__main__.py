"""Converts the weights of other projects to checkpoints.

Run:  python -m inception.pretrained --list
      python -m inception.pretrained --name=inception_v3.tv_in1k
      python -m inception.pretrained --file=inception_v3_google-0cc3c7bd.pth
        --output=weights/inception_v3

--name fetches published weights. Other commands accept these names directly, as
in --workdir=inception_v3.tv_in1k.

The project and the network are detected from the content of the file. For a
Keras model, the input size, normalization and output activation are recorded.
Then `eval.py --workdir=weights/inception_v3` evaluates it with the
preprocessing that the weights expect, and training starts from it with
`--config.pretrained=weights/inception_v3`.
"""

from typing import Any

from absl import flags

from inception import paths
from inception.cli import commands, outputs, shared
from inception.data.pixels import eval_transforms
from inception.errors import UserError, count, some, warn
from inception.files import json_text
from inception.pretrained import input_flags, published
from inception.pretrained.projects import PROJECTS

# Flags that describe a file.
_OF_FILES = (
  *('file', 'from', 'copy', 'architecture', 'preprocessing'),
  *input_flags.NAMES,
)


def define_flags() -> None:
  """Defines the flags of this command."""
  flags.DEFINE_enum(
    'from',
    None,
    list(PROJECTS),
    'Project that published the weights; detected if unset.',
  )
  flags.DEFINE_string(
    'file', None, 'A .ckpt, .h5, .keras, .pth, .pt or .safetensors file.'
  )
  flags.DEFINE_string(
    'copy',
    None,
    'Which copy of the weights to use if there are several, such as'
    ' state_dict; the moving average if unset.',
  )
  flags.DEFINE_string(
    'architecture', None, 'Name of the network; detected if unset.'
  )
  flags.DEFINE_enum(
    'preprocessing',
    None,
    list(eval_transforms.EVAL_TRANSFORMS),
    "Cropping, resizing and normalization of images; the project's if unset.",
  )
  input_flags.define()
  flags.DEFINE_string(
    'name',
    None,
    'Weights to fetch: a name from --list, or hf:OWNER/NAME; not with --file.',
  )
  flags.DEFINE_bool('list', False, 'List the published weights.')
  flags.DEFINE_bool(
    'check_published', False, 'Fetch and verify all published weights.'
  )
  flags.DEFINE_string(
    'output',
    None,
    'Folder to write the checkpoint to; with --name, the cache if unset.',
  )
  flags.DEFINE_bool('json', False, 'Print one JSON object as the last line.')


def main() -> int:
  """Runs the action that the flags select; returns the exit status."""
  values = flags.FLAGS
  if values.list:
    _list()
    return 0
  if values.check_published:
    return _check_published()
  if values.name is not None:
    _import_name(values.name)
  else:
    _import_file()
  return 0


def _import_file() -> None:
  """Imports the file given by --file and writes the checkpoint."""
  path = paths.resolve(shared.require('file', 'inception_v3.ckpt'))
  output = outputs.folder(
    shared.require('output', 'weights/inception_v3'), '--output'
  )
  # Slow to import, so only after the flags are checked.
  from inception.checkpoints import weights
  from inception.pretrained.import_file import Choices, import_file

  values = flags.FLAGS
  weights.check_new(output)
  choices = Choices(
    values['from'].value,
    values.architecture,
    values.copy,
    values.preprocessing,
  )
  report = import_file(path, output, choices, input_flags.apply)
  if others := report.alternatives:
    warn(
      f'the weights may also come from {" or ".join(others)}, with different'
      f' preprocessing; if so, import them with --from={others[0]}'
    )
  _report(report, output)


def _import_name(name: str) -> None:
  """Fetches published weights, into the cache or --output."""
  for other in _OF_FILES:
    if flags.FLAGS[other].present:
      raise UserError(f'--{other} describes a file; leave it out with --name')
  from inception.checkpoints import weights
  from inception.pretrained import by_name

  output = shared.output('output', outputs.folder)
  if output is None:
    folder = by_name.load(name)
    print(f'{name}: {folder}')
    if flags.FLAGS.json:
      print(json_text.dump({'name': name, 'output': str(folder)}))
  else:
    weights.check_new(output)
    _report(by_name.save(name, output), output)


def _list() -> None:
  """Prints all published weights."""
  rows = published.rows().values()
  print(
    outputs.format_table(
      ('name', 'network', 'classes', 'top-1', 'license'),
      [
        (
          row.name,
          row.architecture or '',
          row.num_classes or 'none',
          '' if row.top1 is None else f'{row.top1:.1f} %',
          row.license,
        )
        for row in rows
      ],
    )
  )
  if flags.FLAGS.json:
    print(json_text.dump([row.facts() for row in rows]))


def _check_published() -> int:
  """Fetches and verifies all published weights; returns 1 if any fail."""
  from inception.pretrained import by_name, fetch

  rows = []
  for name in published.rows():
    try:
      by_name.load(name)
      with fetch.alone(name):
        _, fetched = by_name.fetch_row(name)
      state = f'good, {fetched.verified or "not verified"}'
    except UserError as error:
      state = str(error)
    rows.append((name, state))
    print(f'{name}: {state}', flush=True)
  failed = sum(not state.startswith('good') for _, state in rows)
  print(f'{len(rows) - failed} of {len(rows)} are good')
  return 1 if failed else 0


def _report(report: Any, output: paths.Path) -> None:
  """Prints what was imported, and what was left out."""
  imported, content = report.imported, report.content
  left_out = imported.left_out
  for kind, names in (('tensor', left_out), ('entry', content.left_out)):
    if names:
      warn(
        f'ignored {count(len(names), kind)} not in the network:'
        f' {some(names, 4)}'
      )
  if content.others:
    print(
      f'copy: {content.copy}; the file also has {", ".join(content.others)},'
      ' see --copy'
    )
  if not imported.num_classes:
    warn(
      'no classifier found: use the weights for features, or as a start for'
      ' training with --config.pretrained'
    )
  facts = {
    'architecture': imported.architecture,
    'num_classes': imported.num_classes,
    'auxiliary_heads': imported.with_aux,
    'tensors': len(content.arrays) - len(left_out),
    **report.provenance,
    'output': str(output),
  }
  print('\n'.join(f'{name}: {value}' for name, value in facts.items()))
  if flags.FLAGS.json:
    everything = (*left_out, *content.left_out)
    print(
      json_text.dump({**facts, 'copy': content.copy, 'left_out': everything})
    )


if __name__ == '__main__':
  commands.run(main, define_flags)

"""Converts another project's weights file to a checkpoint.

Run:  python -m inception.pretrained --file=inception_v3_google-0cc3c7bd.pth
        --output=weights/inception_v3

The project and the network are detected from the content of the file. What a
Keras model says about its input and output is recorded.
Then `eval.py --workdir=weights/inception_v3` evaluates it, with images prepared
as the weights expect them, and `--config.pretrained=weights/inception_v3`
trains from it.
"""

from typing import Any

from absl import flags
import ml_collections

from inception import architectures, paths
from inception.cli import commands, outputs, shared
from inception.config import checks, default
from inception.data import class_names
from inception.data.device import feed
from inception.data.pixels import eval_transforms
from inception.errors import UserError, count, some, warn
from inception.files import json_text
from inception.pretrained.formats.content import Statement
from inception.pretrained.projects import PROJECTS


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
    'Which of several copies of the weights to take, such as state_dict; the'
    ' moving average if unset.',
  )
  flags.DEFINE_string(
    'architecture', None, 'Name of the network; detected if unset.'
  )
  flags.DEFINE_enum(
    'preprocessing',
    None,
    list(eval_transforms.EVAL_TRANSFORMS),
    "How images are cropped, resized and normalized; the project's if unset.",
  )
  flags.DEFINE_list(
    'mean',
    None,
    'Subtracted from pixels of 0 to 255, a number or one per channel; the'
    " preprocessing's if unset.",
  )
  flags.DEFINE_list('std', None, 'Divides the difference; likewise.')
  flags.DEFINE_enum(
    'channel_order', 'RGB', list(feed.CHANNEL_ORDERS), 'Order of channels.'
  )
  flags.DEFINE_integer(
    'class_offset',
    None,
    'Logit of the first class: 1 behind a background class, which TF-slim has'
    ' for ImageNet.',
    lower_bound=0,
  )
  flags.DEFINE_string(
    'classes', None, 'File with the names of the classes, one per line.'
  )
  flags.DEFINE_string('output', None, 'Folder to write the checkpoint to.')
  flags.DEFINE_bool('json', False, 'Print one JSON object as the last line.')


def main() -> None:
  """Imports the file and writes the checkpoint."""
  path = paths.resolve(shared.require('file', 'inception_v3.ckpt'))
  output = outputs.folder(
    shared.require('output', 'weights/inception_v3'), '--output'
  )
  # Slow imports come after the flags.
  from inception.checkpoints import weights
  from inception.pretrained import conversion
  from inception.pretrained.formats import files

  values = flags.FLAGS
  weights.check_new(output)
  content, file_format = files.read_content(path, values.copy)
  projects = [values['from'].value] if values['from'].value else None
  imported = conversion.import_arrays(
    content.arrays, projects or file_format.projects, values.architecture
  )
  statement = files.read_statement(path, content, file_format)
  provenance = {
    'project': imported.project,
    'file': str(path),
    'sha256': files.sha256(path),
    'preprocessing': values.preprocessing
    or eval_transforms.transform_name(imported.project, imported.architecture),
  }
  config = make_config(imported, provenance, statement)
  _apply_flags(config)
  weights.write(output, imported.variables, config)
  if projects is None:
    others = conversion.alternatives(imported, content.arrays)
    if others:
      warn(
        f'the weights may also be those of {" or ".join(others)}, which prepare'
        f' images differently; if so, import them with --from={others[0]}'
      )
  _report(imported, content, {**provenance, 'output': str(output)})


def _report(imported: Any, content: Any, origin: dict[str, str]) -> None:
  """Prints what was imported, and what was left out."""
  left_out = imported.left_out
  for kind, names in (('tensor', left_out), ('entry', content.left_out)):
    if names:
      warn(
        f'not part of the network: {count(len(names), kind)}: {some(names, 4)}'
      )
  if content.others:
    print(
      f'copy: {content.copy}; the file also has {", ".join(content.others)},'
      ' see --copy'
    )
  if not imported.num_classes:
    warn(
      'no classifier was found: the weights give features, and a start for'
      ' training with --config.pretrained'
    )
  report = {
    'architecture': imported.architecture,
    'num_classes': imported.num_classes,
    'auxiliary_heads': imported.with_aux,
    'tensors': len(content.arrays) - len(left_out),
    **origin,
  }
  print('\n'.join(f'{name}: {value}' for name, value in report.items()))
  if flags.FLAGS.json:
    everything = (*left_out, *content.left_out)
    print(
      json_text.dump({**report, 'copy': content.copy, 'left_out': everything})
    )


def _apply_flags(config: ml_collections.ConfigDict) -> None:
  """Records how images are scaled, and the names of classes, where given."""
  values = flags.FLAGS
  for name in ('mean', 'std'):
    given = values[name].value
    if given is not None:
      config.data[name] = _channels(name, given)
  config.data.channel_order = values.channel_order
  if values.class_offset not in (None, config.data.class_offset):
    config.data.class_offset = values.class_offset
    config.data.class_names = None  # Of another offset.
  if values.classes is not None:
    config.data.class_names = _read_names(
      values.classes, config.model.num_classes - config.data.class_offset
    )
  checks.check_ranges(config)


def _channels(name: str, given: list[str]) -> tuple[float, ...]:
  try:
    numbers = tuple(float(text) for text in given)
  except ValueError:
    numbers = ()
  if len(numbers) not in (1, 3):
    raise UserError(
      f'--{name}={",".join(given)} must be a number, or three with commas'
    )
  return numbers * 3 if len(numbers) == 1 else numbers


def _read_names(name: str, count: int) -> tuple[str, ...]:
  path = paths.resolve(name, '--classes')
  names = tuple(paths.read_text(path).splitlines())
  if len(names) != count or len(set(names)) != count:
    raise UserError(
      f'{path} has {len(set(names))} different names in {len(names)} lines; the'
      f' network has {count} classes'
    )
  return names


def make_config(
  imported: Any, provenance: dict[str, str], statement: Statement
) -> ml_collections.ConfigDict:
  """Returns the config that is stored with the weights.

  Args:
    imported: Result of `conversion.import_arrays`.
    provenance: Origin of the weights: `project`, `file`, `sha256`, and
      `preprocessing`, a name in `EVAL_TRANSFORMS`.
    statement: What the file says about the model's input and output.
  """
  project = PROJECTS[provenance['project']]
  table = architectures.get_architecture(imported.architecture)
  config = default.get_config()
  config.model.architecture = imported.architecture
  config.model.num_classes = imported.num_classes
  config.model.aux_heads = imported.with_aux
  config.model.batch_norm_scale = imported.batch_norm_scale
  config.model.activation = statement.activation or 'softmax'
  names = class_names.imagenet()
  # With one class more, a background class comes first: in TF-slim's weights,
  # and in those that others have converted from them.
  offset = imported.num_classes - len(names)
  if project.of_imagenet and offset in (0, 1):
    config.data.class_offset, config.data.class_names = offset, names
  eval_transforms.record(
    config.data,
    provenance['preprocessing'],
    statement.image_size or table.input_size,
  )
  if statement.mean is not None:
    config.data.mean, config.data.std = statement.mean, statement.std
  with config.unlocked():
    config.provenance = ml_collections.ConfigDict(provenance)
  return config


if __name__ == '__main__':
  commands.run(main, define_flags)

"""Converts another project's weights file to a checkpoint.

Run:  python -m inception.pretrained --file=inception_v3_google-0cc3c7bd.pth
        --output=weights/inception_v3

What wrote the file, and which network it holds, is found from its content.
Then `eval.py --workdir=weights/inception_v3` evaluates it, with images prepared
as the weights expect them, and `--config.pretrained=weights/inception_v3`
trains from it.
"""

import json
from typing import Any

from absl import flags
import ml_collections

from inception import architectures, commands, paths
from inception.config import checks, default
from inception.data import class_names, device, eval_transforms
from inception.errors import UserError, warn
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
    'channel_order', 'RGB', list(device.CHANNEL_ORDERS), 'Order of channels.'
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
  path = paths.resolve(commands.require('file', 'inception_v3.ckpt'))
  output = paths.resolve(commands.require('output', 'weights/inception_v3'))
  # Slow imports come after the flags.
  from inception.checkpoints import weights
  from inception.pretrained import files, matching

  values = flags.FLAGS
  arrays, file_format = files.read_arrays(path)
  projects = [values['from'].value] if values['from'].value else None
  imported = matching.import_arrays(
    arrays, projects or file_format.projects, values.architecture
  )
  provenance = {
    'project': imported.project,
    'file': str(path),
    'sha256': files.sha256(path),
    'preprocessing': values.preprocessing
    or eval_transforms.transform_name(imported.project, imported.architecture),
  }
  config = make_config(imported, provenance)
  _apply_flags(config)
  weights.write(output, imported.variables, config)
  if projects is None:
    others = matching.alternatives(imported, arrays)
    if others:
      warn(
        f'the weights may also be those of {" or ".join(others)}, which prepare'
        f' images differently; if so, import them with --from={others[0]}'
      )
  _report(imported, arrays, {**provenance, 'output': str(output)})


def _report(imported: Any, arrays: Any, origin: dict[str, str]) -> None:
  """Prints what was imported, and what was not."""
  left_out = imported.left_out
  if left_out:
    names = ', '.join(left_out[:4]) + (', ...' if len(left_out) > 4 else '')
    warn(f'{len(left_out)} tensors are no part of the network: {names}')
  if not imported.num_classes:
    warn(
      'no classifier was found: the weights give features, and a start for'
      ' training with --config.pretrained'
    )
  report = {
    'architecture': imported.architecture,
    'num_classes': imported.num_classes,
    'auxiliary_heads': imported.with_aux,
    'tensors': len(arrays) - len(left_out),
    **origin,
  }
  print('\n'.join(f'{name}: {value}' for name, value in report.items()))
  if flags.FLAGS.json:
    print(json.dumps({**report, 'left_out': left_out}))


def _apply_flags(config: ml_collections.ConfigDict) -> None:
  """Records how images are scaled, and the names of classes, where given.

  Raises:
    UserError: A number or the number of names is wrong.
  """
  values = flags.FLAGS
  for name in ('mean', 'std'):
    given = values[name].value
    if given is not None:
      config.data[name] = _channels(name, given)
  config.data.channel_order = values.channel_order
  if values.class_offset is not None:
    config.data.class_offset = values.class_offset
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
  try:
    names = tuple(path.read_text().splitlines())
  except (OSError, UnicodeDecodeError) as error:
    raise UserError(f'cannot read {path}: {error}') from error
  if len(names) != count or len(set(names)) != count:
    raise UserError(
      f'{path} has {len(names)} lines, {len(set(names))} of them different;'
      f' the network has {count} classes'
    )
  return names


def make_config(
  imported: Any, provenance: dict[str, str]
) -> ml_collections.ConfigDict:
  """Returns the config that is stored with the weights.

  Args:
    imported: Result of `matching.import_arrays`.
    provenance: Origin of the weights: `project`, `file`, `sha256`, and
      `preprocessing`, a name in `EVAL_TRANSFORMS`.
  """
  project = PROJECTS[provenance['project']]
  table = architectures.get_architecture(imported.architecture)
  config = default.get_config()
  config.model.architecture = imported.architecture
  config.model.num_classes = imported.num_classes
  config.model.aux_heads = imported.with_aux
  config.model.batch_norm_scale = imported.batch_norm_scale
  names = class_names.imagenet()
  if imported.num_classes - project.class_offset == len(names):
    # Networks for other data have no class before the first one.
    config.data.class_offset = project.class_offset
    config.data.class_names = names if project.of_imagenet else None
  eval_transforms.record(
    config.data, provenance['preprocessing'], table.input_size
  )
  with config.unlocked():
    config.provenance = ml_collections.ConfigDict(provenance)
  return config


if __name__ == '__main__':
  commands.run(main, define_flags)

"""Converts another project's weights file to a checkpoint.

Run:  python -m inception.pretrained --from=torchvision
        --file=inception_v3_google-0cc3c7bd.pth --output=weights/inception_v3

Then `eval.py --workdir=weights/inception_v3` evaluates it, with images prepared
as the weights expect them, and `--config.pretrained=weights/inception_v3`
trains from it.
"""

import json
from typing import Any

from absl import flags
import ml_collections

from inception import architectures, commands, paths
from inception.data import eval_transforms
from inception.errors import UserError
from inception.pretrained.projects import PROJECTS


def define_flags() -> None:
  """Defines the flags of this command."""
  flags.DEFINE_enum(
    'from', None, list(PROJECTS), 'Project that published the weights.'
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
  flags.DEFINE_string('output', None, 'Folder to write the checkpoint to.')
  flags.DEFINE_bool('json', False, 'Print one JSON object as the last line.')


def main() -> None:
  """Imports the file and writes the checkpoint."""
  project = commands.require('from', next(iter(PROJECTS)))
  path = paths.resolve(commands.require('file', 'inception_v3.ckpt'))
  output = paths.resolve(commands.require('output', 'weights/inception_v3'))
  commands.import_tensorflow()
  from inception.pretrained import files, matching  # Slow: after the flags.

  values = flags.FLAGS
  arrays = files.read_arrays(path)
  imported = matching.import_arrays(arrays, project, values.architecture)
  provenance = {
    'project': project,
    'file': str(path),
    'sha256': files.sha256(path),
    'preprocessing': values.preprocessing
    or eval_transforms.transform_name(project, imported.architecture),
  }
  write(output, imported.variables, make_config(imported, provenance))
  report = {
    'architecture': imported.architecture,
    'num_classes': imported.num_classes,
    'auxiliary_heads': imported.with_aux,
    'tensors': len(arrays),
    **provenance,
    'output': str(output),
  }
  print('\n'.join(f'{name}: {value}' for name, value in report.items()))
  if values.json:
    print(json.dumps(report))


def make_config(
  imported: Any, provenance: dict[str, str]
) -> ml_collections.ConfigDict:
  """Returns the config that is stored with the weights.

  Args:
    imported: Result of `matching.import_arrays`.
    provenance: Origin of the weights: `project`, `file`, `sha256`, and
      `preprocessing`, a name in `EVAL_TRANSFORMS`.
  """
  from inception.config import default

  table = architectures.get_architecture(imported.architecture)
  config = default.get_config()
  config.model.architecture = imported.architecture
  config.model.num_classes = imported.num_classes
  config.model.aux_heads = imported.with_aux
  config.model.batch_norm_scale = imported.batch_norm_scale
  config.data.class_offset = PROJECTS[provenance['project']].class_offset
  eval_transforms.record(
    config.data, provenance['preprocessing'], table.input_size
  )
  with config.unlocked():
    config.provenance = ml_collections.ConfigDict(provenance)
  return config


def write(
  output: paths.Path,
  variables: dict[str, Any],
  config: ml_collections.ConfigDict,
) -> None:
  """Writes a checkpoint with step 0.

  Raises:
    UserError: The folder already has a checkpoint, or cannot be written.
  """
  from inception.checkpoints import arrays
  from inception.checkpoints.lock import WorkdirLock
  from inception.checkpoints.store import Checkpoints

  with WorkdirLock(output) as lock:
    if Checkpoints(output).steps():
      raise UserError(
        f'{output} already has a checkpoint; choose another --output'
      )
    lock.make_workdir()
    with Checkpoints(output, keep=1) as checkpoints:
      checkpoints.save(arrays.flatten({'step': 0, **variables}), config)
      checkpoints.wait()


if __name__ == '__main__':
  commands.run(main, define_flags)

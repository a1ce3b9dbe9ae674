"""Turns a weights file of another project into a checkpoint.

Run:  python -m inception.pretrained --from=torchvision
        --file=inception_v3_google-0cc3c7bd.pth --output=weights/inception_v3

`eval.py --workdir=weights/inception_v3` evaluates it with the images that the
weights expect; `--config.pretrained=weights/inception_v3` trains from it.
"""

import json
import pathlib
from typing import Any

from absl import flags
import ml_collections

from inception import commands
from inception.errors import UserError

_PROJECTS = ('slim', 'keras', 'torchvision', 'timm', 'fid', 'facenet')


def define_flags() -> None:
  """Defines the flags of this command."""
  flags.DEFINE_enum('from', None, _PROJECTS, 'Whose file it is.')
  flags.DEFINE_string(
    'file', None, 'A .ckpt, .h5, .keras, .pth, .pt or .safetensors file.'
  )
  flags.DEFINE_string(
    'architecture', None, 'Name of the network; unset, it is found out.'
  )
  flags.DEFINE_string(
    'preprocessing', None, "Images to expect; unset, the project's."
  )
  flags.DEFINE_string('output', None, 'Folder for the checkpoint.')
  flags.DEFINE_bool('json', False, 'Print one JSON object as the last line.')


def main() -> None:
  """Reads the flags, imports, writes the checkpoint."""
  project = commands.require('from', _PROJECTS[0])
  path = pathlib.Path(commands.require('file', 'inception_v3.ckpt'))
  output = pathlib.Path(commands.require('output', 'weights/inception_v3'))
  from inception.pretrained import (  # Slow to import: after the flags.
    files,
    matching,
    preprocessing,
  )

  values = flags.FLAGS
  known = preprocessing.PREPROCESSING
  if values.preprocessing is not None and values.preprocessing not in known:
    raise UserError(
      f'--preprocessing={values.preprocessing} is not one of {", ".join(known)}'
    )
  arrays = files.read_arrays(path)
  imported = matching.import_arrays(arrays, project, values.architecture)
  images = values.preprocessing or preprocessing.default_preprocessing(
    project, imported.architecture
  )
  provenance = {
    'project': project,
    'file': str(path),
    'sha256': files.sha256(path),
    'preprocessing': images,
  }
  config = make_config(imported, images, provenance)
  write(output, imported.variables, config)
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
  imported: Any, images: str, provenance: dict[str, str]
) -> ml_collections.ConfigDict:
  """Returns the config that travels with the weights.

  Args:
    imported: of `matching.import_arrays`.
    images: name of the preprocessing.
    provenance: where the weights come from.
  """
  from configs import default
  from inception.pretrained import preprocessing

  config = default.get_config()
  config.model.architecture = imported.architecture
  config.model.num_classes = imported.num_classes
  config.model.aux_heads = imported.with_aux
  config.model.batch_norm_scale = imported.batch_norm_scale
  preprocessing.set_data_config(config.data, images, imported.architecture)
  config.provenance = ml_collections.ConfigDict(provenance)
  return config.lock()


def write(
  output: pathlib.Path,
  variables: dict[str, Any],
  config: ml_collections.ConfigDict,
) -> None:
  """Writes a checkpoint of step 0.

  Raises:
    UserError: the folder has a checkpoint, or cannot be written.
  """
  from inception.checkpoints import Checkpoints

  checkpoints = Checkpoints(output, keep=1)
  try:
    if checkpoints.steps():
      raise UserError(
        f'{output} already has a checkpoint; choose another --output'
      )
    checkpoints.save({'step': 0, **variables}, config, metrics=None)
    checkpoints.wait()
  finally:
    checkpoints.close()


if __name__ == '__main__':
  commands.run(main, define_flags)

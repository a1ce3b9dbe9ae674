"""Converts a weights file of another project to a checkpoint."""

from collections.abc import Callable
import dataclasses

import ml_collections

from inception import architectures, paths
from inception.checkpoints import weights
from inception.config import checks, default
from inception.data import class_names
from inception.data.pixels import eval_transforms
from inception.pretrained import conversion
from inception.pretrained.conversion import Imported
from inception.pretrained.formats import files
from inception.pretrained.formats.content import Content, Statement
from inception.pretrained.projects import PROJECTS


@dataclasses.dataclass(frozen=True)
class Choices:
  """What is known about a file; None is detected from its content.

  Attributes:
    project: A name in `PROJECTS`.
    architecture: Name of the network.
    copy: Which copy of the weights to use if there are several.
    transform: A name in `EVAL_TRANSFORMS`.
  """

  project: str | None = None
  architecture: str | None = None
  copy: str | None = None
  transform: str | None = None


@dataclasses.dataclass(frozen=True)
class Report:
  """What was imported.

  Attributes:
    imported: The variables, and the network that they belong to.
    content: What the file holds.
    provenance: `project`, `file`, `sha256` and `preprocessing`.
    alternatives: Other projects whose weights have the same names and shapes.
  """

  imported: Imported
  content: Content
  provenance: dict[str, str]
  alternatives: list[str]


def import_file(
  path: paths.Path,
  output: paths.Path,
  choices: Choices,
  adjust: Callable[[ml_collections.ConfigDict], None] = lambda config: None,
  origin: str | None = None,
) -> Report:
  """Writes the weights of a file to a folder as a checkpoint.

  Args:
    path: The file.
    output: The folder.
    choices: What is known about the file.
    adjust: Changes the config that is stored with the weights.
    origin: Origin of the file, to record in the config; None: `path`.

  Raises:
    UserError: The file cannot be read or fits no network, or the checkpoint
      cannot be written.
  """
  content, file_format = files.read_content(path, choices.copy)
  project, architecture = choices.project, choices.architecture
  imported = conversion.import_arrays(
    content.arrays, project or file_format.projects, architecture
  )
  provenance = {
    'project': imported.project,
    'file': origin or str(path),
    'sha256': files.sha256(path),
    'preprocessing': choices.transform
    or eval_transforms.transform_name(imported.project, imported.architecture),
  }
  statement = files.read_statement(path, content, file_format)
  config = make_config(imported, provenance, statement)
  adjust(config)
  checks.check_ranges(config)
  weights.write(output, imported.variables, config)
  alternatives: list[str] = []
  if project is None:
    alternatives = conversion.alternatives(imported, content.arrays)
  return Report(imported, content, provenance, alternatives)


def make_config(
  imported: Imported, provenance: dict[str, str], statement: Statement
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
  # With 1001 classes, the first is a background class: in TF-slim's weights,
  # and in those converted from them.
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

"""From the arrays of a file to variables: which network, and do they fit?"""

from collections.abc import Iterator, Mapping
import dataclasses
from typing import Any

from flax import traverse_util
import numpy as np

from inception.errors import UserError
from inception.pretrained import keras, pytorch, slim
from inception.pretrained.tensors import Project, Tensor, network_layers

PROJECTS: dict[str, Project] = {
  'slim': slim.SLIM,
  'keras': keras.KERAS,
  'torchvision': pytorch.TORCHVISION,
  'timm': pytorch.TIMM,
  'fid': pytorch.FID,
  'facenet': pytorch.FACENET,
}

_USUAL_CLASSES = 1000


@dataclasses.dataclass(frozen=True)
class Imported:
  """Weights of another project as variables of a network here.

  Attributes:
    architecture: name of the network.
    num_classes: logits.
    with_aux: the file had auxiliary heads, too.
    batch_norm_scale: batch norm has a scale.
    variables: {'params', 'batch_stats'}, float32.
  """

  architecture: str
  num_classes: int
  with_aux: bool
  batch_norm_scale: bool
  variables: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class _Match:
  """How a file's arrays fit a network.

  Attributes:
    tensors: that the network has, in the order of definition.
    fitting: how many of them the file has in the right shape.
    difference: the first that it has not, in words; None where all fit.
  """

  architecture: str
  num_classes: int
  with_aux: bool
  tensors: list[Tensor]
  fitting: int
  difference: str | None


def import_arrays(
  arrays: Mapping[str, np.ndarray],
  project_name: str,
  architecture: str | None = None,
) -> Imported:
  """Turns the arrays of a weights file into variables.

  Every array of the network is used once and none is left.

  Args:
    arrays: by the names in the file.
    project_name: one of `PROJECTS`.
    architecture: name of the network; None finds it out.

  Raises:
    UserError: the arrays do not fit; names the first that differs, both shapes,
      and the network that would fit, if any does.
  """
  project = PROJECTS[project_name]
  known = list(project.networks)
  if architecture is not None and architecture not in known:
    raise UserError(
      f'--from={project_name} has no weights for {architecture!r}; it has'
      f' {", ".join(known)}'
    )
  candidates = [architecture] if architecture else known
  matches = [_match(arrays, project, name) for name in candidates]
  best = max(matches, key=lambda match: (not match.difference, match.fitting))
  if best.difference:
    raise UserError(
      f'the file does not fit {best.architecture}: {best.difference};'
      f' {_advice(arrays, (project_name, best.architecture))}'
    )
  flat = {
    tensor.path: np.ascontiguousarray(
      tensor.convert(arrays[tensor.name]), np.float32
    )
    for tensor in best.tensors
  }
  return Imported(
    best.architecture,
    best.num_classes,
    best.with_aux,
    project.batch_norm_scale,
    traverse_util.unflatten_dict(flat, sep='/'),
  )


def _match(
  arrays: Mapping[str, np.ndarray], project: Project, architecture: str
) -> _Match:
  bias = arrays.get(project.classifier[architecture])
  num_classes = len(bias) if bias is not None and bias.ndim else _USUAL_CLASSES
  prefix = project.aux_prefix.get(architecture)
  with_aux = prefix is not None and any(n.startswith(prefix) for n in arrays)
  layers = network_layers(architecture, num_classes, with_aux)
  tensors = project.networks[architecture](layers, arrays)
  differences = _differences(
    arrays, project, architecture, num_classes, tensors
  )
  return _Match(
    architecture,
    num_classes,
    with_aux,
    tensors,
    sum(_fits(arrays, tensor) for tensor in tensors),
    next(differences, None),
  )


def _fits(arrays: Mapping[str, np.ndarray], tensor: Tensor) -> bool:
  found = arrays.get(tensor.name)
  return found is not None and found.shape == tensor.shape


def _differences(
  arrays: Mapping[str, np.ndarray],
  project: Project,
  architecture: str,
  num_classes: int,
  tensors: list[Tensor],
) -> Iterator[str]:
  for tensor in tensors:
    if tensor.name not in arrays:
      yield f'it lacks {tensor.name} {tensor.shape}'
    elif not _fits(arrays, tensor):
      yield (
        f'its {tensor.name} is {arrays[tensor.name].shape}, that of'
        f' {architecture} {tensor.shape}'
      )
  if not project.has_classes(num_classes):
    yield f'it has {num_classes} classes'
  expected = {tensor.name for tensor in tensors}
  for name, array in arrays.items():
    if name not in expected and not project.ignore(name, arrays):
      yield f'it has {name} {array.shape}, which {architecture} has not'


def _advice(arrays: Mapping[str, np.ndarray], tried: tuple[str, str]) -> str:
  """Says which network of which project would fit."""
  for project_name, project in PROJECTS.items():
    for architecture in project.networks:
      if (project_name, architecture) == tried:
        continue
      if _match(arrays, project, architecture).difference is None:
        return (
          f'{architecture} would fit, with --from={project_name}'
          f' --architecture={architecture}'
        )
  return 'no known network fits'

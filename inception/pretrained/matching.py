"""From the arrays of a weights file to the variables of a network."""

from collections.abc import Iterator, Mapping
import dataclasses
from typing import Any

from flax import traverse_util
import numpy as np

from inception import architectures
from inception.errors import UserError
from inception.pretrained.projects import PROJECTS
from inception.pretrained.tensors import Project, Tensor, network_layers

Arrays = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Imported:
  """Weights of another project as variables of one of our networks.

  Attributes:
    architecture: Name of the network.
    num_classes: Logits per image.
    with_aux: The file has auxiliary heads, too.
    batch_norm_scale: Batch norm has a scale.
    variables: {'params', 'batch_stats'}, float32.
  """

  architecture: str
  num_classes: int
  with_aux: bool
  batch_norm_scale: bool
  variables: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class _Match:
  """How well the arrays of a file fit a network.

  Attributes:
    architecture: Name of the network.
    num_classes: Classes in the file.
    with_aux: The file has auxiliary heads.
    tensors: The network's tensors, in the order of definition.
    fitting: Number of them that the file has in the right shape.
    difference: Description of the first difference; None if all arrays fit.
  """

  architecture: str
  num_classes: int
  with_aux: bool
  tensors: list[Tensor]
  fitting: int
  difference: str | None


def import_arrays(
  arrays: Arrays, project_name: str, architecture: str | None = None
) -> Imported:
  """Converts the arrays of a weights file to variables.

  Every array of the network is used exactly once, and none is left over.

  Args:
    arrays: Arrays by their names in the file.
    project_name: A name in `PROJECTS`.
    architecture: Name of the network; None detects it.

  Raises:
    UserError: The arrays do not fit; names the first difference with both
      shapes, and a network that would fit, if there is one.
  """
  project = PROJECTS[project_name]
  known = list(project.networks)
  if architecture is not None and architecture not in known:
    raise UserError(
      f'--from={project_name} has no weights for {architecture!r}, only for'
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


def _match(arrays: Arrays, project: Project, architecture: str) -> _Match:
  published = project.networks[architecture]
  bias = arrays.get(published.classifier)
  if bias is not None and bias.ndim:
    num_classes = len(bias)
  else:
    num_classes = architectures.get_architecture(architecture).num_classes
  prefix = published.aux_prefix
  with_aux = prefix is not None and any(n.startswith(prefix) for n in arrays)
  layers = network_layers(architecture, num_classes, with_aux)
  tensors = published.name_tensors(layers, arrays)
  differences = _differences(
    arrays, project, architecture, num_classes, tensors
  )
  return _Match(
    architecture,
    num_classes,
    with_aux,
    tensors,
    fitting=sum(_fits(arrays, tensor) for tensor in tensors),
    difference=next(differences, None),
  )


def _fits(arrays: Arrays, tensor: Tensor) -> bool:
  found = arrays.get(tensor.name)
  return found is not None and found.shape == tensor.shape


def _differences(
  arrays: Arrays,
  project: Project,
  architecture: str,
  num_classes: int,
  tensors: list[Tensor],
) -> Iterator[str]:
  """Yields a phrase for everything that does not fit."""
  for tensor in tensors:
    if tensor.name not in arrays:
      yield f'it lacks {tensor.name} {tensor.shape}'
    elif not _fits(arrays, tensor):
      yield (
        f'its {tensor.name} is {arrays[tensor.name].shape}, but {architecture}'
        f' needs {tensor.shape}'
      )
  if not project.allows_classes(num_classes):
    yield f'it has {num_classes} classes'
  expected = {tensor.name for tensor in tensors}
  for name, array in arrays.items():
    if name not in expected and not project.ignores(name, arrays):
      yield f'it has {name} {array.shape}, which {architecture} does not have'


def _advice(arrays: Arrays, tried: tuple[str, str]) -> str:
  """Names a network of a project that would fit, other than the one tried."""
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

"""Converts the arrays of a weights file to the variables of a network."""

from collections.abc import Sequence
import dataclasses
import re
from typing import Any

from flax import traverse_util
import numpy as np

from inception.errors import UserError
from inception.pretrained.formats.content import copies
from inception.pretrained.match import match
from inception.pretrained.projects import PROJECTS
from inception.pretrained.tensors import Arrays, Tensor


@dataclasses.dataclass(frozen=True)
class Imported:
  """Weights of another project as variables of one of our networks.

  Attributes:
    project: Name of the project.
    architecture: Name of the network.
    num_classes: Logits per image; 0 for a network without a classifier. A
      single logit becomes two classes.
    with_aux: True if the file has auxiliary heads.
    batch_norm_scale: True if batch norm has a scale.
    variables: {'params', 'batch_stats'}, float32.
    left_out: Names of tensors in the file that are not part of the network,
      such as those of another head.
  """

  project: str
  architecture: str
  num_classes: int
  with_aux: bool
  batch_norm_scale: bool
  variables: dict[str, Any]
  left_out: tuple[str, ...] = ()


def import_arrays(
  arrays: Arrays,
  project_names: str | Sequence[str],
  architecture: str | None = None,
) -> Imported:
  """Converts the arrays of a weights file to variables.

  Every array of the network is used exactly once. Only arrays outside the
  network, or of a head that it does not have, are left over.

  Args:
    arrays: Arrays by their names in the file.
    project_names: Names in `PROJECTS`; the best fit wins, the first in a tie.
    architecture: Name of the network; None detects it.

  Raises:
    UserError: The arrays do not fit, are not finite, or have a negative
      variance. If they do not fit, the message gives the first difference with
      both shapes, and a network that would fit, if any.
  """
  if isinstance(project_names, str):
    project_names = [project_names]
  pairs = _candidates(project_names, architecture)
  matches = [match(arrays, *pair) for pair in pairs]
  # Prefer a full fit, then the most matching tensors, then the first one.
  best = max(matches, key=lambda found: (not found.difference, found.fitting))
  if best.difference:
    raise UserError(
      f'the file does not fit {best.architecture}: {best.difference};'
      f' {_advice(arrays, pairs)}'
    )
  flat = {tensor.path: _convert(tensor, best.arrays) for tensor in best.tensors}
  num_classes = best.num_classes
  if num_classes == 1:
    flat = {path: _two_classes(path, array) for path, array in flat.items()}
    num_classes = 2
  return Imported(
    best.project,
    best.architecture,
    num_classes,
    best.with_aux,
    PROJECTS[best.project].batch_norm_scale,
    traverse_util.unflatten_dict(flat, sep='/'),
    best.left_out,
  )


def _convert(tensor: Tensor, arrays: Arrays) -> np.ndarray:
  """Returns a tensor in our memory layout, float32; rejects invalid numbers."""
  array = np.ascontiguousarray(tensor.convert(arrays[tensor.name]), np.float32)
  if not np.isfinite(array).all():
    raise UserError(
      f'{tensor.name} holds NaN or infinity: training diverged, or the weights'
      ' are damaged'
    )
  if tensor.path.endswith('/var') and (array < 0).any():
    raise UserError(
      f'{tensor.name} holds a negative variance: the weights are damaged'
    )
  return array


def _two_classes(path: str, array: np.ndarray) -> np.ndarray:
  """Converts a classifier with one logit to one with two classes."""
  if not re.search(r'/Logits/(kernel|bias)$', path):
    return array
  # The first class has the logit 0: the softmax of (0, x) is the sigmoid of x.
  return np.concatenate([np.zeros_like(array), array], axis=-1)


def _candidates(
  project_names: Sequence[str], architecture: str | None
) -> list[tuple[str, str]]:
  """Returns the projects and networks to try; raises if there are none."""
  networks = [
    (project, network)
    for project in project_names
    for network in PROJECTS[project].networks
  ]
  pairs = [pair for pair in networks if architecture in (None, pair[1])]
  if not pairs:
    known = sorted({network for _, network in networks})
    raise UserError(
      f'there are no weights of {" or ".join(project_names)} for'
      f' {architecture!r}, only for {", ".join(known)}'
    )
  return pairs


def _advice(arrays: Arrays, tried: list[tuple[str, str]]) -> str:
  """Says what is wrong with the file, or which other network would fit."""
  if names := copies(arrays):
    words = ' and '.join(repr(f'{name}.*') for name in names)
    return f'it holds {words}; select one, as with --copy={names[0]}'
  for name, project in PROJECTS.items():
    for architecture in project.networks:
      if (name, architecture) in tried:
        continue
      if match(arrays, name, architecture).difference is None:
        return (
          f'{architecture} would fit, with --from={name}'
          f' --architecture={architecture}'
        )
  return 'no known network fits'


def alternatives(imported: Imported, arrays: Arrays) -> list[str]:
  """Returns other projects whose weights have the same names and shapes.

  Their weights may expect different preprocessing.
  """
  return [
    name
    for name, project in PROJECTS.items()
    if name != imported.project
    and imported.architecture in project.networks
    and match(arrays, name, imported.architecture).difference is None
  ]

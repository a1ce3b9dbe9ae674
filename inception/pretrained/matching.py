"""From the arrays of a weights file to the variables of a network."""

from collections.abc import Sequence
import dataclasses
from typing import Any

from flax import traverse_util
import numpy as np

from inception.errors import UserError
from inception.pretrained.match import match
from inception.pretrained.projects import PROJECTS
from inception.pretrained.tensors import Arrays


@dataclasses.dataclass(frozen=True)
class Imported:
  """Weights of another project as variables of one of our networks.

  Attributes:
    project: Name of the project.
    architecture: Name of the network.
    num_classes: Logits per image; 0 for a network without a classifier.
    with_aux: The file has auxiliary heads, too.
    batch_norm_scale: Batch norm has a scale.
    variables: {'params', 'batch_stats'}, float32.
    left_out: Names of tensors in the file that are not part of the network: a
      head of another kind, or what else was saved with it.
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

  Every array of the network is used exactly once. None is left over, but those
  of a head that the network does not have, and of what surrounds it.

  Args:
    arrays: Arrays by their names in the file.
    project_names: Names in `PROJECTS`; the first one that fits is taken.
    architecture: Name of the network; None detects it.

  Raises:
    UserError: The arrays do not fit; names the first difference with both
      shapes, and a network that would fit, if there is one.
  """
  if isinstance(project_names, str):
    project_names = [project_names]
  pairs = _candidates(project_names, architecture)
  matches = [match(arrays, *pair) for pair in pairs]
  # The first of equal ones, and rather one that uses more of the file.
  best = max(matches, key=lambda found: (not found.difference, found.fitting))
  if best.difference:
    raise UserError(
      f'the file does not fit {best.architecture}: {best.difference};'
      f' {_advice(arrays, pairs)}'
    )
  flat = {
    tensor.path: np.ascontiguousarray(
      tensor.convert(best.arrays[tensor.name]), np.float32
    )
    for tensor in best.tensors
  }
  return Imported(
    best.project,
    best.architecture,
    best.num_classes,
    best.with_aux,
    PROJECTS[best.project].batch_norm_scale,
    traverse_util.unflatten_dict(flat, sep='/'),
    best.left_out,
  )


def _candidates(
  project_names: Sequence[str], architecture: str | None
) -> list[tuple[str, str]]:
  """Returns the projects and networks to try.

  Raises:
    UserError: There are none.
  """
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
  if copies := _copies(arrays):
    words = ' and '.join(repr(f'{name}.*') for name in copies)
    return f'it holds {words}, of which one must be saved alone'
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


def _copies(arrays: Arrays) -> list[str]:
  """Returns prefixes under which there is the same, such as an average."""
  inside: dict[str, set[str]] = {}
  for name in arrays:
    prefix, _, rest = name.partition('.')
    inside.setdefault(prefix, set()).add(rest)
  first = max(inside.values(), key=len)
  same = sorted(prefix for prefix, rest in inside.items() if rest == first)
  # Blocks of one network may be equal, too, but are not all of the file.
  is_all = len(same) * len(first) > 0.9 * len(arrays)
  return same if is_all and len(same) > 1 and len(first) > 1 else []


def alternatives(imported: Imported, arrays: Arrays) -> list[str]:
  """Returns other projects whose weights have the same names and shapes.

  Their weights may expect images to be prepared in another way.
  """
  return [
    name
    for name, project in PROJECTS.items()
    if name != imported.project
    and imported.architecture in project.networks
    and match(arrays, name, imported.architecture).difference is None
  ]

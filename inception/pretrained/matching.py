"""From the arrays of a weights file to the variables of a network."""

from collections.abc import Iterator, Sequence
import dataclasses
from typing import Any

from flax import traverse_util
import numpy as np

from inception.errors import UserError
from inception.pretrained.projects import PROJECTS
from inception.pretrained.tensors import (
  Arrays,
  PublishedNetwork,
  Tensor,
  network_layers,
)


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


@dataclasses.dataclass(frozen=True)
class _Match:
  """How well the arrays of a file fit a network.

  Attributes:
    project: Name of the project.
    architecture: Name of the network.
    num_classes: Classes in the file; 0 without a classifier.
    with_aux: Auxiliary heads are matched.
    arrays: Arrays by the project's own names.
    tensors: The network's tensors, in the order of definition.
    fitting: Number of them that the file has in the right shape.
    left_out: Names of arrays that are not part of the network.
    difference: Description of the first difference; None if all arrays fit.
  """

  project: str
  architecture: str
  num_classes: int
  with_aux: bool
  arrays: Arrays
  tensors: list[Tensor]
  fitting: int
  left_out: tuple[str, ...]
  difference: str | None


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
  pairs = [
    (project, network)
    for project in project_names
    for network in PROJECTS[project].networks
    if architecture in (None, network)
  ]
  if not pairs:
    known = sorted({n for p in project_names for n in PROJECTS[p].networks})
    raise UserError(
      f'there are no weights of {" or ".join(project_names)} for'
      f' {architecture!r}, only for {", ".join(known)}'
    )
  matches = [_match(arrays, *pair) for pair in pairs]
  # The first of equal ones, and rather one that uses more of the file.
  best = max(matches, key=lambda match: (not match.difference, match.fitting))
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


def _match(arrays: Arrays, project: str, architecture: str) -> _Match:
  """Matches as much of a file as fits: its heads, or else its trunk."""
  published = PROJECTS[project].networks[architecture]
  stripped = _without_prefix(arrays, published, architecture)
  outside = tuple(name for name in arrays if name not in stripped.values())
  arrays = published.unwrap(
    {ours: arrays[theirs] for ours, theirs in stripped.items()}
  )
  bias = arrays.get(published.find_classifier(arrays) or '')
  num_classes = len(bias) if bias is not None and bias.ndim else 0
  prefix = published.aux_prefix
  with_aux = prefix is not None and any(n.startswith(prefix) for n in arrays)
  attempts = [(num_classes, with_aux), (num_classes, False)]
  if PROJECTS[project].allows_classes(num_classes):
    attempts.append((0, False))
  matches = [
    _attempt(arrays, project, architecture, outside, *attempt)
    for attempt in dict.fromkeys(attempts)
  ]
  good = [match for match in matches if match.difference is None]
  return (good or matches)[0]


def _without_prefix(
  arrays: Arrays, published: PublishedNetwork, architecture: str
) -> dict[str, str]:
  """Returns the names of the network's arrays, without and with their prefix.

  Wrappers put one before each name: DataParallel 'module.', torch.compile
  '_orig_mod.', Lightning the name of an attribute.
  """
  layers = network_layers(architecture, 0, False)
  first = published.name_tensors(layers, arrays)[0].name
  prefixes = sorted(
    {name.removesuffix(first) for name in arrays if _ends(name, first)}
  )
  prefix = prefixes[0] if len(prefixes) == 1 else ''
  return {
    name.removeprefix(prefix): name
    for name in arrays
    if name.startswith(prefix)
  }


def _ends(name: str, end: str) -> bool:
  return name.endswith(end) and name.removesuffix(end)[-1:] in ('', '.', '/')


def _attempt(
  arrays: Arrays,
  project_name: str,
  architecture: str,
  outside: tuple[str, ...],
  num_classes: int,
  with_aux: bool,
) -> _Match:
  project = PROJECTS[project_name]
  published = project.networks[architecture]
  layers = network_layers(architecture, num_classes, with_aux)
  tensors = published.name_tensors(layers, arrays)
  expected = {tensor.name for tensor in tensors}
  others = [
    name
    for name in arrays
    if name not in expected and not project.ignores(name, arrays)
  ]
  left_out = [name for name in others if _is_of_head(name, published)]
  differences = [
    *_misfits(arrays, architecture, tensors),
    # A classifier behind other layers is not that of the pooled grid.
    *(
      f'its classifier stands among other layers, such as {name}'
      for name in left_out
      if num_classes and not _is_aux(name, published)
    ),
    *(f'it has {num_classes} classes',)
    * (not project.allows_classes(num_classes)),
    *(
      f'it has {name} {arrays[name].shape}, which {architecture} does not have'
      for name in others
      if name not in left_out
    ),
  ]
  return _Match(
    project_name,
    architecture,
    num_classes,
    with_aux,
    arrays,
    tensors,
    fitting=sum(_fits(arrays, tensor) for tensor in tensors),
    left_out=(*left_out, *outside),
    difference=differences[0] if differences else None,
  )


def _is_of_head(name: str, published: PublishedNetwork) -> bool:
  return _is_aux(name, published) or published.is_of_head(name)


def _is_aux(name: str, published: PublishedNetwork) -> bool:
  prefix = published.aux_prefix
  return prefix is not None and name.startswith(prefix)


def _fits(arrays: Arrays, tensor: Tensor) -> bool:
  found = arrays.get(tensor.name)
  return found is not None and found.shape == tensor.shape


def _misfits(
  arrays: Arrays, architecture: str, tensors: list[Tensor]
) -> Iterator[str]:
  """Yields a phrase for every tensor that is missing or has another shape."""
  for tensor in tensors:
    if tensor.name not in arrays:
      yield f'it lacks {tensor.name} {tensor.shape}'
    elif not _fits(arrays, tensor):
      yield (
        f'its {tensor.name} is {arrays[tensor.name].shape}, but {architecture}'
        f' needs {tensor.shape}'
      )


def _advice(arrays: Arrays, tried: list[tuple[str, str]]) -> str:
  """Says what is wrong with the file, or which other network would fit."""
  if copies := _copies(arrays):
    words = ' and '.join(repr(f'{name}.*') for name in copies)
    return f'it holds {words}, of which one must be saved alone'
  for name, project in PROJECTS.items():
    for architecture in project.networks:
      if (name, architecture) in tried:
        continue
      if _match(arrays, name, architecture).difference is None:
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
    and _match(arrays, name, imported.architecture).difference is None
  ]

"""How well the arrays of a weights file fit one published network."""

from collections.abc import Iterator
import dataclasses

from inception.errors import count
from inception.pretrained.projects import PROJECTS
from inception.pretrained.tensors import (
  Arrays,
  Project,
  PublishedNetwork,
  Tensor,
  network_layers,
)


@dataclasses.dataclass(frozen=True)
class Match:
  """How well the arrays of a file fit a network.

  Attributes:
    project: Name of the project.
    architecture: Name of the network.
    num_classes: Classes in the file; 0 without a classifier.
    with_aux: True if auxiliary heads are matched.
    arrays: Arrays by the project's own names.
    tensors: The network's tensors, in the order of definition.
    fitting: Number of these that the file has with the right shape.
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


def match(arrays: Arrays, project: str, architecture: str) -> Match:
  """Matches as many heads of a file as fit, or else only its trunk."""
  published = PROJECTS[project].networks[architecture]
  prefix = _prefix(arrays, published, architecture)
  outside = tuple(name for name in arrays if not name.startswith(prefix))
  arrays = published.unwrap(
    {
      name.removeprefix(prefix): array
      for name, array in arrays.items()
      if name.startswith(prefix)
    }
  )
  bias = arrays.get(published.find_classifier(arrays) or '')
  num_classes = len(bias) if bias is not None and bias.ndim else 0
  with_aux = any(name.startswith(published.aux_prefixes) for name in arrays)
  attempts = [(num_classes, with_aux), (num_classes, False)]
  if PROJECTS[project].allows_classes(num_classes):
    attempts.append((0, False))
  matches = [
    _attempt(arrays, project, architecture, outside, *attempt)
    for attempt in dict.fromkeys(attempts)
  ]
  good = [match for match in matches if match.difference is None]
  return (good or matches)[0]


def _prefix(
  arrays: Arrays, published: PublishedNetwork, architecture: str
) -> str:
  """Returns the prefix that a wrapper, such as DataParallel, adds to names."""
  # 'module.' from DataParallel, '_orig_mod.' from torch.compile, and an
  # attribute's name from Lightning.
  layers = network_layers(architecture, 0, False)
  first = published.name_tensors(layers, arrays)[0].name
  prefixes = {n.removesuffix(first) for n in arrays if n.endswith(first)}
  prefixes = {prefix for prefix in prefixes if prefix[-1:] in ('', '.', '/')}
  return prefixes.pop() if len(prefixes) == 1 else ''


def _attempt(
  arrays: Arrays,
  project_name: str,
  architecture: str,
  outside: tuple[str, ...],
  num_classes: int,
  with_aux: bool,
) -> Match:
  project = PROJECTS[project_name]
  published = project.networks[architecture]
  layers = network_layers(architecture, num_classes, with_aux)
  tensors = published.name_tensors(layers, arrays)
  others = _surplus(arrays, tensors, project)
  aux = published.aux_prefixes
  left_out = [
    name
    for name in others
    if name.startswith(aux) or published.is_of_head(name)
  ]
  misfits = list(_misfits(arrays, architecture, tensors))
  differences = misfits.copy()
  if num_classes:
    # A classifier after other head layers does not read the pooled grid.
    differences += [
      f'its head has layers other than the classifier, such as {name}'
      for name in left_out
      if not name.startswith(aux)
    ]
  if not project.allows_classes(num_classes):
    differences.append(f'it has {count(num_classes, "class")}')
  differences += [
    f'it has {name} {arrays[name].shape}, which {architecture} does not have'
    for name in others
    if name not in left_out
  ]
  return Match(
    project_name,
    architecture,
    num_classes,
    with_aux,
    arrays,
    tensors,
    fitting=len(tensors) - len(misfits),
    left_out=(*left_out, *outside),
    difference=next(iter(differences), None),
  )


def _surplus(
  arrays: Arrays, tensors: list[Tensor], project: Project
) -> list[str]:
  expected = {tensor.name for tensor in tensors}
  return [
    name
    for name in arrays
    if name not in expected and not project.ignores(name, arrays)
  ]


def _misfits(
  arrays: Arrays, architecture: str, tensors: list[Tensor]
) -> Iterator[str]:
  """Describes every tensor that is missing or has the wrong shape."""
  for tensor in tensors:
    found = arrays.get(tensor.name)
    if found is None:
      yield f'it lacks {tensor.name} {tensor.shape}'
    elif found.shape != tensor.shape:
      yield (
        f'its {tensor.name} is {found.shape}, but {architecture} needs'
        f' {tensor.shape}'
      )

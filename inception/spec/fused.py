"""Fusing: the same network in fewer and larger operations.

One pass over a table. Three rules, each exact but for rounding:

- 1x1 convolutions that read one input run as one. An average pooling before
  one of them moves behind it: both are linear, and they commute.
- A max pooling after a convolution moves before its batch norm and ReLU, which
  do not change the order of values: the large grid is read, but never written.
- A max pooling after a block of branches moves into each branch.

Parameters stay where the table has them, one set per convolution.
"""

from collections.abc import Sequence
import dataclasses
import functools

from inception.spec import scopes
from inception.spec import vocabulary as v
from inception.spec.scopes import Scoped

Path = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Unit:
  """Convolution, average, batch norm or bias, maximum, ReLU, in this order.

  Batch norm takes its statistics before the maximum.

  Attributes:
    conv: The convolution of the table.
    path: Scope of its parameters, from the root of the network or `Loop`.
    average: A pooling that the table has before the convolution, or None.
    maximum: A pooling that the table has after the ReLU, or None.
  """

  conv: v.Conv | v.SeparableConv
  path: Path
  average: v.AvgPool | None = None
  maximum: v.MaxPool | None = None


@dataclasses.dataclass(frozen=True)
class Branch:
  """A branch of a `Fork`.

  Attributes:
    start: Index of the joined unit whose output it reads; None reads the input.
    words: What it runs in series.
  """

  start: int | None
  words: 'tuple[Word, ...]'


@dataclasses.dataclass(frozen=True)
class Fork:
  """Branches that read one input; outputs are concatenated along channels.

  Attributes:
    joined: 1x1 convolutions of the input that run as one; empty or at least
      two.
    branches: The branches, in the order of the table.
  """

  joined: tuple[Unit, ...]
  branches: tuple[Branch, ...]


@dataclasses.dataclass(frozen=True)
class Shortcut:
  """A `Residual`: its branches, its projection, its gate, its sum.

  Attributes:
    block: The block of the table.
    words: Its branches.
    projection: Scope of its projection.
    gate: Its gate, or None.
  """

  block: v.Residual
  words: 'tuple[Word, ...]'
  projection: Path
  gate: 'Gate | None'


@dataclasses.dataclass(frozen=True)
class Gate:
  """Squeeze-excite with the scope of its parameters."""

  block: v.SqueezeExcite
  path: Path


@dataclasses.dataclass(frozen=True)
class Loop:
  """Equal blocks in series.

  Attributes:
    path: Scope of all blocks.
    names: Scope of each block below `path`.
    words: One block; its paths start below its name.
  """

  path: Path
  names: tuple[str, ...]
  words: 'tuple[Word, ...]'


Word = (
  Unit
  | Fork
  | Shortcut
  | Gate
  | Loop
  | v.MaxPool
  | v.AvgPool
  | v.AdaptiveAvgPool
  | v.LocalResponseNorm
)


@dataclasses.dataclass(frozen=True)
class Group:
  """Stages of the trunk that run together: one, or one and its max pooling."""

  stages: tuple[str, ...]
  words: tuple[Word, ...]


# A block and the path of its scope.
_Placed = tuple[Scoped, Path]


@functools.cache
def fuse(architecture: v.Architecture) -> tuple[Group, ...]:
  """Returns the trunk of a network in fused words.

  The output of the last stage of a group is that of the table; auxiliary heads
  read only such stages.
  """
  read = {head.stage for head in architecture.aux_heads}
  groups: list[Group] = []
  stages = list(architecture.stages)
  while stages:
    together = [stages.pop(0)]
    if stages and together[0].name not in read and _shrinks(stages[0].block):
      together.append(stages.pop(0))
    placed = [
      part
      for stage in together
      for part in _flat(scopes.scope_stage(stage.name, stage.block), ())
    ]
    names = tuple(stage.name for stage in together)
    groups.append(Group(names, _series(placed)))
  return tuple(groups)


def _flat(node: Scoped, parent: Path) -> list[_Placed]:
  """Returns what runs in series in a block."""
  path = (*parent, node.name) if node.name else parent
  match node.block:
    case v.Chain() | v.Gated():
      return [item for part in node.parts for item in _flat(part, path)]
  return [(node, path)]


def _series(placed: Sequence[_Placed]) -> tuple[Word, ...]:
  words = []
  waiting = list(placed)
  while waiting:
    node, path = waiting.pop(0)
    pool = None
    if waiting and _shrinks(waiting[0][0].block) and _can_pool(node.block):
      pool, _ = waiting.pop(0)
    words.append(_word(node, path, pool))
  return tuple(words)


def _shrinks(block: v.Block) -> bool:
  """True for a max pooling that makes the grid smaller."""
  return isinstance(block, v.MaxPool) and block.stride > 1


def _can_pool(block: v.Block) -> bool:
  """True for blocks that can run the max pooling after them."""
  return isinstance(block, v.Conv | v.SeparableConv | v.Concat)


def _word(node: Scoped, path: Path, pool: Scoped | None) -> Word:
  match node.block:
    case v.Conv() | v.SeparableConv():
      maximum = pool.block if pool else None
      assert maximum is None or isinstance(maximum, v.MaxPool)
      return Unit(node.block, path, maximum=maximum)
    case v.Concat():
      last: list[_Placed] = [(pool, path)] if pool else []
      return _fork([_series(_flat(part, path) + last) for part in node.parts])
    case v.SqueezeExcite():
      return Gate(node.block, path)
    case v.Residual():
      return _shortcut(node, path)
    case v.Repeat():
      names = tuple(part.name for part in node.parts)
      body = dataclasses.replace(node.parts[0], name='')
      return Loop(path, names, _series(_flat(body, ())))
    case (
      v.MaxPool() | v.AvgPool() | v.AdaptiveAvgPool() | v.LocalResponseNorm()
    ):
      return node.block
  raise TypeError(f'{node.block!r} is not a block of the vocabulary')


def _shortcut(node: Scoped, path: Path) -> Shortcut:
  assert isinstance(node.block, v.Residual)
  # The number of channels matters only when it runs.
  branches, projection, *gates = scopes.residual_parts(node, channels=0)
  return Shortcut(
    node.block,
    _series(_flat(branches, path)),
    (*path, projection.name),
    Gate(node.block.gate, (*path, gates[0].name)) if node.block.gate else None,
  )


def _fork(series: Sequence[tuple[Word, ...]]) -> Fork:
  """Joins the 1x1 convolutions at the start of the branches."""
  starts = [_joinable(words) for words in series]
  joined = [unit for unit, _ in filter(None, starts)]
  if len(joined) < 2:
    return Fork((), tuple(Branch(None, words) for words in series))
  branches = [
    Branch(joined.index(start[0]), start[1]) if start else Branch(None, words)
    for start, words in zip(starts, series)
  ]
  return Fork(tuple(joined), tuple(branches))


def _joinable(
  words: tuple[Word, ...],
) -> tuple[Unit, tuple[Word, ...]] | None:
  """Returns the 1x1 convolution that a branch starts with, and the rest."""
  match words:
    case Unit(conv=v.Conv(kernel=1 | (1, 1), stride=1)) as unit, *rest:
      return unit, tuple(rest)
    case (
      v.AvgPool(stride=1, padding='SAME' | 'SYMMETRIC') as average,
      Unit(conv=v.Conv(kernel=1 | (1, 1), stride=1)) as unit,
      *rest,
    ):
      return dataclasses.replace(unit, average=average), tuple(rest)
  return None

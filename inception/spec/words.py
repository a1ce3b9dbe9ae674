"""The form in which a table runs: a series of words.

Chains are flattened, and every word carries the path of its variables, so rules
can move and join words (rules.py) without renaming variables.
"""

import dataclasses

from inception.spec import scopes
from inception.spec import vocabulary as v
from inception.spec.scopes import Scoped

Path = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Unit:
  """Convolution, average, batch norm or bias, maximum and ReLU, in this order.

  Batch norm takes its statistics before the maximum.

  Attributes:
    conv: The convolution of the table. For a projection, its features are 0:
      they follow from the input's channels.
    path: Scope of its variables.
    average: A pooling that the table has before the convolution, or None.
    maximum: A pooling that the table has after the ReLU, or None.
  """

  conv: v.Conv | v.SeparableConv
  path: Path
  average: v.AvgPool | None = None
  maximum: v.MaxPool | None = None


@dataclasses.dataclass(frozen=True)
class Plain:
  """Any other operation of the table, at its scope."""

  block: v.Operation
  path: Path


@dataclasses.dataclass(frozen=True)
class Fork:
  """Branches that read one input; outputs are concatenated along channels.

  Attributes:
    path: Scope of the block.
    branches: The branches, in the order of the table.
    joined: Indices of the branches whose first words, 1x1 convolutions, run as
      one; empty or at least two.
  """

  path: Path
  branches: 'tuple[Series, ...]'
  joined: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class Shortcut:
  """A `Residual`.

  Attributes:
    block: The block of the table.
    path: Its scope.
    words: Its branches and its projection.
    gate: Its gate, or None.
  """

  block: v.Residual
  path: Path
  words: 'Series'
  gate: Plain | None


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
  words: 'Series'


Word = Unit | Plain | Fork | Shortcut | Loop
Series = tuple[Word, ...]


def words_of(node: Scoped, parent: Path = ()) -> Series:
  """Returns the words of a block in the scope `parent`."""
  path = (*parent, node.name) if node.name else parent
  match node.block:
    case v.Chain() | v.Gated():
      return _in_series(node.parts, path)
    case v.Conv() | v.SeparableConv():
      return (Unit(node.block, path),)
    case v.Concat():
      return (Fork(path, tuple(words_of(part, path) for part in node.parts)),)
    case v.Residual():
      return (_shortcut(node.block, node, path),)
    case v.Repeat():
      names = tuple(part.name for part in node.parts)
      body = dataclasses.replace(node.parts[0], name='')
      return (Loop(path, names, words_of(body)),)
  return (Plain(node.block, path),)


def _in_series(nodes: tuple[Scoped, ...], path: Path) -> Series:
  return tuple(word for node in nodes for word in words_of(node, path))


def _shortcut(block: v.Residual, node: Scoped, path: Path) -> Shortcut:
  branches, projection, *gates = scopes.residual_parts(node, channels=0)
  return Shortcut(
    block,
    path,
    _in_series((branches, projection), path),
    Plain(block.gate, (*path, gates[0].name)) if block.gate else None,
  )

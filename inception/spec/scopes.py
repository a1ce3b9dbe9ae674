"""Scopes: the name of every block of a table in the parameter tree.

One pass over a table names everything; the Flax modules, the unrolled layers,
the importers and the tests all use its result. Names are TF-slim's, which the
whole family shares. `Conv2d_0b_5x5`: 0 means stride 1 and 1 a larger stride;
letters count each kind along the branch, pooling included; then kernel height
x width.
"""

from collections.abc import Iterator
import dataclasses
import string

from inception.spec import vocabulary as v
from inception.spec.shapes import height_width


@dataclasses.dataclass(frozen=True)
class Scoped:
  """A block with its scope.

  Attributes:
    block: A word of the vocabulary.
    name: Scope below the parent's; '' shares the parent's scope.
    parts: The blocks inside, in the order of definition; for a `Residual` or
      `Gated`, the inner block and then the gate, if any.
  """

  block: v.Block
  name: str = ''
  parts: tuple['Scoped', ...] = ()


def scope_stage(name: str, block: v.Block) -> Scoped:
  """Names everything inside a stage of the trunk.

  Raises:
    TypeError: A `Residual`, `Repeat` or `Gated` is inside a branch.
  """
  match block:
    case v.Conv() | v.SeparableConv():
      return Scoped(block, name)
    case v.Concat(branches):
      parts = (
        scope_branch(f'Branch_{i}', part) for i, part in enumerate(branches)
      )
      return Scoped(block, name, tuple(parts))
    case v.Gated(inner, gate):
      return Scoped(block, name, (scope_stage('', inner), _gate(gate)))
    case v.Residual(branches=inner, gate=gate):
      gates = (_gate(gate),) if gate else ()
      return Scoped(block, name, (scope_stage('', inner), *gates))
    case v.Repeat(inner, times, inner_name):
      numbered = (
        scope_stage(f'{inner_name}_{i}', inner) for i in range(1, times + 1)
      )
      return Scoped(block, name, tuple(numbered))
  return scope_branch(name, block)


def scope_branch(name: str, block: v.Block) -> Scoped:
  """Names everything inside a branch or an auxiliary head.

  Raises:
    TypeError: A `Residual`, `Repeat` or `Gated` is inside.
    ValueError: It has more operations of one kind than there are letters.
  """
  letters = {0: iter(string.ascii_lowercase), 1: iter(string.ascii_lowercase)}
  return Scoped(v.Chain(block), name, (_in_branch(block, letters),))


def residual_parts(node: Scoped, channels: int) -> tuple[Scoped, ...]:
  """Returns the parts that a `Residual` runs in series beside its shortcut.

  These are its branches, its projection to the `channels` of its input and, if
  any, its gate.
  """
  if not isinstance(node.block, v.Residual):
    raise TypeError(f'{node.block!r} is not a residual block')
  branches, *gates = node.parts
  projection = Scoped(node.block.projection(channels), 'Conv2d_1x1')
  return branches, projection, *gates


def _in_branch(block: v.Block, letters: dict[int, Iterator[str]]) -> Scoped:
  match block:
    case v.Conv() | v.SeparableConv() | v.MaxPool() | v.AvgPool():
      kind = int(block.stride > 1)
      letter = next(letters[kind], None)
      if letter is None:
        raise ValueError('a branch has more than 26 operations of one kind')
      if isinstance(block, v.MaxPool | v.AvgPool):
        return Scoped(block)
      height, width = height_width(block.kernel)
      return Scoped(block, f'Conv2d_{kind}{letter}_{height}x{width}')
    case v.Chain(parts) | v.Concat(parts):
      return Scoped(
        block, '', tuple(_in_branch(part, letters) for part in parts)
      )
    case v.Gated() | v.Residual() | v.Repeat() | v.SqueezeExcite():
      raise TypeError(f'{block!r} cannot be inside a branch')
  return Scoped(block)


def _gate(gate: v.SqueezeExcite) -> Scoped:
  return Scoped(gate, 'SqueezeExcite')

"""The interpreter: runs the words of a table, in any arithmetic.

It handles how words nest. Implementations of `Numbers` (floats.py and
quantization/integers.py) compute convolutions, pooling and so on.
"""

from collections.abc import Mapping, Sequence
import functools
from typing import Any, Protocol, Self

import jax
from jax import lax
import jax.numpy as jnp

from inception.modules.options import Options
from inception.spec.words import (
  Fork,
  Loop,
  Path,
  Plain,
  Series,
  Shortcut,
  Unit,
  Word,
)

# A tensor [batch, height, width, channels], as `Numbers` represents it.
Tensor = Any

# An unfinished tensor: its last steps are cheaper, or round less, once its
# consumer is known.
Part = Any


class Numbers(Protocol):
  """Runs words in one kind of arithmetic, with the variables of a scope."""

  @property
  def variables(self) -> Mapping[str, Any]:
    """Variables of the scope: one tree per collection."""

  @property
  def options(self) -> Options:
    """How layers compute."""

  @property
  def updated(self) -> dict[str, Any]:
    """New values of variables, filled in as words run."""

  @property
  def repeats(self) -> bool:
    """True if the backward pass recomputes the inside of blocks."""

  def inside(self, variables: Mapping[str, Any]) -> Self:
    """Returns a copy with other variables and nothing updated."""

  def convolve(self, units: Sequence[Unit], x: Tensor) -> list[Part]:
    """Runs units that read the same input and have equal kernel sizes."""

  def apply(self, word: Plain, x: Tensor) -> Part:
    """Runs any other operation."""

  def add(self, word: Shortcut, x: Tensor, residual: Part) -> Part:
    """Adds the output of a residual block to its input."""

  def finish(self, word: Word, parts: Sequence[Part]) -> Tensor:
    """Finishes the parts that a word returned, and concatenates them."""


def run(words: Series, numbers: Numbers, x: Tensor) -> Tensor:
  """Runs words from `words_of`, possibly rewritten by rules, in series."""
  for word in words:
    x = numbers.finish(word, _run(word, numbers, x))
  return x


def _run(word: Word, numbers: Numbers, x: Tensor) -> list[Part]:
  """Runs a word; returns parts to concatenate along channels."""
  match word:
    case Unit():
      return numbers.convolve([word], x)
    case Plain():
      return [numbers.apply(word, x)]
    case Fork():
      return _fork(word, numbers, x)
    case Shortcut():
      *words, projection = word.words
      (residual,) = _run(projection, numbers, run(tuple(words), numbers, x))
      return [numbers.add(word, x, residual)]
    case Loop():
      return [_loop(word, numbers, x)]
  raise TypeError(f'{word!r} is not a word')


def _fork(word: Fork, numbers: Numbers, x: Tensor) -> list[Part]:
  first: list[Any] = [word.branches[i][0] for i in word.joined]
  started = dict(
    zip(word.joined, numbers.convolve(first, x) if first else (), strict=True)
  )
  parts = []
  for i, branch in enumerate(word.branches):
    if i in started:
      parts += _rest(branch, numbers, started[i])
    elif branch:
      *words, last = branch
      parts += _run(last, numbers, run(tuple(words), numbers, x))
    else:
      parts.append(x)
  return parts


def _rest(branch: Series, numbers: Numbers, started: Part) -> list[Part]:
  """Runs a branch from its second word on."""
  first, *words = branch
  if not words:
    return [started]
  x = numbers.finish(first, [started])
  return _run(words[-1], numbers, run(tuple(words[:-1]), numbers, x))


def _loop(word: Loop, numbers: Numbers, x: Tensor) -> Tensor:
  """Runs equal blocks: unrolled, or as one loop over their variables.

  XLA compiles the body of a loop once. Variables are stacked inside the
  compiled program, so their paths do not depend on how the blocks run.
  """
  each = [
    variables_at(numbers.variables, (*word.path, name)) for name in word.names
  ]

  def block(x: Tensor, variables: Any) -> tuple[Tensor, Any]:
    inner = numbers.inside(variables)
    return run(word.words, inner, x), inner.updated

  if numbers.repeats:
    block = jax.checkpoint(block)
  if numbers.options.scan_blocks:
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)
    x, updated = lax.scan(block, x, stacked)
    news = [
      jax.tree.map(lambda leaf, i=i: leaf[i], updated) for i in range(len(each))
    ]
  else:
    news = []
    for variables in each:
      x, updated = block(x, variables)
      news.append(updated)
  for name, new in zip(word.names, news):
    if new:
      put_at(numbers.updated, (*word.path, name), new)
  return x


def variables_at(variables: Mapping[str, Any], path: Path) -> dict[str, Any]:
  """Returns the part of each collection at a path."""
  return {kind: part_at(tree, path) for kind, tree in variables.items()}


def part_at(tree: Mapping[str, Any], path: Path) -> Any:
  """Returns the part of a tree at a path; {} if there is none."""
  return functools.reduce(lambda part, name: part.get(name, {}), path, tree)


def put_at(tree: dict[str, Any], path: Path, value: Any) -> None:
  """Puts a value at a path of a tree."""
  *scopes, last = path
  for name in scopes:
    tree = tree.setdefault(name, {})
  tree[last] = value

"""Rewrite rules: the same network in fewer, larger operations.

A rule rewrites words in series; results are equal up to rounding. Variables
stay where the table has them, one set per convolution. Figures are the
compiler's estimates for a training step of `inception_v1` on a TPU v5e, with
128 images in bfloat16, in millions of cycles: 32.6 with all rules, 42.7 without
any; each rule gives the figure without it.
"""

from collections.abc import Callable
import dataclasses
import functools

from inception.spec import scopes
from inception.spec import vocabulary as v
from inception.spec.words import (
  Fork,
  Loop,
  Plain,
  Series,
  Shortcut,
  Unit,
  Word,
  words_of,
)

Rule = Callable[[Series], Series]


def pool_in_branches(words: Series) -> Series:
  """Moves a max pooling after a block of branches into each branch.

  There, `pool_before_norm` applies to it. Without: 37.4.
  """

  def merge(fork: Word, pool: Word) -> Word | None:
    match fork, pool:
      case Fork(branches=branches), Plain(block=block) if _shrinks(block):
        branches = tuple((*branch, pool) for branch in branches)
        return dataclasses.replace(fork, branches=branches)
    return None

  return _merge_neighbors(words, merge)


def pool_before_norm(words: Series) -> Series:
  """Moves a max pooling before the batch norm and ReLU of its convolution.

  Both preserve the order of values, so the argmax stays the same. The large
  grid is read for the statistics, but never written. Without: 40.1.
  """

  def merge(unit: Word, pool: Word) -> Word | None:
    match unit, pool:
      case Unit(maximum=None), Plain(v.MaxPool() as block) if _shrinks(block):
        return dataclasses.replace(unit, maximum=block)
    return None

  return _merge_neighbors(words, merge)


def average_after_convolution(words: Series) -> Series:
  """Moves an average pooling after the 1x1 convolution that reads it.

  Both are linear, and they commute. The convolution then reads the input of its
  block, so `join_convolutions` can join it.
  """

  def merge(pool: Word, unit: Word) -> Word | None:
    match pool, unit:
      case (
        Plain(v.AvgPool(stride=1, padding='SAME' | 'SYMMETRIC') as block),
        Unit(average=None),
      ) if _is_1x1(unit):
        return dataclasses.replace(unit, average=block)
    return None

  return _merge_neighbors(words, merge)


def join_convolutions(words: Series) -> Series:
  """Joins the 1x1 convolutions that read the input of a block into one.

  Many of them are narrower than a matrix unit. Without: 33.3.
  """

  def join(word: Word) -> Word:
    if not isinstance(word, Fork):
      return word
    starts = tuple(
      i
      for i, branch in enumerate(word.branches)
      if branch and _is_1x1(branch[0])
    )
    return dataclasses.replace(word, joined=starts) if starts[1:] else word

  return tuple(map(join, words))


# In the order of application.
RULES: tuple[Rule, ...] = (
  pool_in_branches,
  pool_before_norm,
  average_after_convolution,
  join_convolutions,
)


@dataclasses.dataclass(frozen=True)
class Group:
  """Stages that run together: one, or one and the max pooling after it.

  Attributes:
    stages: The stages; only the first has variables.
    words: The words to run; paths start below the name of the first stage.
  """

  stages: tuple[v.Stage, ...]
  words: Series


@functools.cache
def trunk(
  architecture: v.Architecture,
  rules: tuple[Rule, ...] = RULES,
  endpoints: bool = False,
) -> tuple[Group, ...]:
  """Returns the trunk of a network, as groups to run.

  Args:
    architecture: The network.
    rules: The rules to apply; if empty, the table runs word by word.
    endpoints: Keep the output of every stage. Otherwise only the last one and
      those that auxiliary heads read are kept, and stages may be merged.
  """
  read = {head.stage for head in architecture.aux_heads}
  groups: list[Group] = []
  stages = list(architecture.stages)
  while stages:
    together = [stages.pop(0)]
    alone = not rules or endpoints or together[0].name in read
    if not alone and stages and _shrinks(stages[0].block):
      together.append(stages.pop(0))
    words = tuple(
      word
      for stage in together
      for word in words_of(scopes.scope_stage('', stage.block))
    )
    groups.append(Group(tuple(together), rewrite(words, rules)))
  return tuple(groups)


def rewrite(words: Series, rules: tuple[Rule, ...] = RULES) -> Series:
  """Applies each rule in turn, to the words and to all series inside."""
  return functools.reduce(lambda words, rule: _apply(rule, words), rules, words)


def _apply(rule: Rule, words: Series) -> Series:
  def inside(word: Word) -> Word:
    match word:
      case Fork(branches=branches):
        branches = tuple(_apply(rule, branch) for branch in branches)
        return dataclasses.replace(word, branches=branches)
      case Shortcut() | Loop():
        return dataclasses.replace(word, words=_apply(rule, word.words))
    return word

  return tuple(map(inside, rule(words)))


def _merge_neighbors(
  words: Series, merge: Callable[[Word, Word], Word | None]
) -> Series:
  """Replaces pairs of neighbors by the word that `merge` returns, if any."""
  merged: list[Word] = []
  for word in words:
    both = merge(merged[-1], word) if merged else None
    if both is None:
      merged.append(word)
    else:
      merged[-1] = both
  return tuple(merged)


def _shrinks(block: v.Block) -> bool:
  """True for a max pooling that makes the grid smaller."""
  return isinstance(block, v.MaxPool) and block.stride > 1


def _is_1x1(word: Word) -> bool:
  match word:
    case Unit(conv=v.Conv(kernel=1 | (1, 1), stride=1)):
      return True
  return False

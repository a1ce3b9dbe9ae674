"""Short and narrow forms of the networks, for tests that compile them.

Compile time grows with the number of convolutions, and most of a network is
repetition: 1,466 convolutions in the fourteen tables, 195 in the pieces.
"""

from collections.abc import Callable, Iterator
import dataclasses
import itertools

import numpy as np

from inception import architectures
from inception.spec import unroll
from inception.spec import vocabulary as v
from tests.architectures.reference import NUMBERS

# Features of successive convolutions of a stage; they differ, so that branches
# with a wrong order or width are detected.
_FEATURES = (8, 16, 24)
# Convolutions that complete a piece; a step takes 10 CPU seconds.
_ENOUGH = 8


def shorten(table: v.Architecture) -> v.Architecture:
  """Returns a narrow network with few equal blocks.

  It keeps the first of successive equal stages, and two blocks of a `Repeat`.
  Every kind of block and every change of the grid stays.
  """
  stages: list[v.Stage] = []
  names = {}
  for stage in table.stages:
    block = _narrow(stage.block, itertools.cycle(_FEATURES))
    if not stages or stages[-1].block != block:
      stages.append(v.Stage(stage.name, block))
    names[stage.name] = stages[-1].name
  heads = (
    dataclasses.replace(
      head,
      stage=names[head.stage],
      block=_narrow(head.block, itertools.cycle(_FEATURES)),
      hidden=head.hidden and 16,
    )
    for head in table.aux_heads
  )
  return dataclasses.replace(
    table,
    stages=tuple(stages),
    aux_heads=tuple(heads),
    bottleneck=table.bottleneck and 16,
  )


def _narrow(block: v.Block, features: Iterator[int]) -> v.Block:
  return _change(
    block, lambda conv: dataclasses.replace(conv, features=next(features))
  )


def _change(block: v.Block, convolution: Callable) -> v.Block:
  """Changes every convolution and cuts each `Repeat` to two blocks."""
  match block:
    case v.Chain(blocks) | v.Concat(blocks):
      return type(block)(*(_change(part, convolution) for part in blocks))
    case v.Repeat():
      body = _change(block.block, convolution)
      return dataclasses.replace(block, block=body, times=2)
    case v.Residual():
      branches = _change(block.branches, convolution)
      return dataclasses.replace(block, branches=branches)
    case v.Conv() | v.SeparableConv():
      return convolution(block)
  return block


def _shape(block: v.Block) -> v.Block:
  """Returns a block with kernel sizes capped at 3, for comparison.

  Blocks with 3x3 and 5x5 kernels become equal, as do those with 1x3 and 1x7.
  """

  def change(conv):
    rows, columns = np.broadcast_to(conv.kernel, 2)
    kernel = (min(int(rows), 3), min(int(columns), 3))
    return dataclasses.replace(conv, kernel=kernel)

  return _change(block, change)


def make_pieces() -> dict[str, v.Architecture]:
  """Returns small tables that together have every block of the networks once.

  Blocks that differ only in kernel sizes count as one; see `_shape`. A block
  keeps the max pooling that follows it in its network, if any. A piece is named
  after the first network that has its first block, and that block's stage.
  """
  pieces: dict[str, v.Architecture] = {}
  seen, heads = set(), {}
  for name in NUMBERS:
    short = shorten(architectures.get_architecture(name))
    heads |= {(head.block, head.hidden): head for head in short.aux_heads}
    waiting: list[v.Stage] = []
    for group in _with_pooling(short.stages):
      blocks = tuple(_shape(stage.block) for stage in group)
      if blocks not in seen:
        seen.add(blocks)
        waiting += group
      is_last = group[-1] is short.stages[-1]
      if waiting and (is_last or _convolutions(waiting) >= _ENOUGH):
        pieces[f'{name}-{waiting[0].name}'] = _piece(waiting)
        waiting = []
  every = tuple(
    dataclasses.replace(head, name=f'AuxLogits_{i}', stage='first', dropout=0.0)
    for i, head in enumerate(heads.values())
  )
  pieces['heads'] = dataclasses.replace(
    _piece([]), aux_heads=every, bottleneck=16
  )
  return pieces


def _with_pooling(stages: tuple[v.Stage, ...]) -> Iterator[tuple[v.Stage, ...]]:
  """Yields each stage, with the max pooling that follows it."""
  for stage, after in itertools.zip_longest(stages, stages[1:]):
    if after is not None and isinstance(after.block, v.MaxPool):
      yield stage, after
    elif not isinstance(stage.block, v.MaxPool):
      yield (stage,)


def _piece(stages: list[v.Stage]) -> v.Architecture:
  """Returns a table whose smallest grid has some pixels."""
  first = v.Stage('first', v.Conv(8))
  table = v.Architecture(32, (first, *stages), dropout=0.0)
  side = unroll.smallest_input(table) + 16
  return dataclasses.replace(table, input_size=side)


def _convolutions(stages: list[v.Stage]) -> int:
  table = _piece(stages)
  side = table.input_size
  layers = unroll.stage_layers(table, side, side).values()
  return sum(layer.is_convolution for part in layers for layer in part)


PIECES = make_pieces()

"""Transforms: change the width or the layers of a table."""

from collections.abc import Callable
import dataclasses
from typing import Any

from inception.spec import vocabulary as v

# Channel counts of a scaled network stay multiples of this, as all published
# ones are: tensor cores and TPU lanes need it.
CHANNEL_MULTIPLE = 8


def scale_width(architecture: v.Architecture, width: float) -> v.Architecture:
  """Returns the network with every layer's features multiplied by `width`.

  Features are rounded to a multiple of 8, at least 8; `width=1` changes
  nothing. TF-slim calls this the depth multiplier.
  """
  if width == 1:
    return architecture

  def scaled(features: int) -> int:
    multiples = round(features * width / CHANNEL_MULTIPLE)
    return CHANNEL_MULTIPLE * max(1, multiples)

  def scale(operation: v.Operation) -> v.Operation:
    if not isinstance(operation, v.Conv | v.SeparableConv):
      return operation
    return dataclasses.replace(operation, features=scaled(operation.features))

  network = map_operations(scale, architecture)
  bottleneck = network.bottleneck
  return dataclasses.replace(
    network,
    aux_heads=tuple(
      dataclasses.replace(head, hidden=head.hidden and scaled(head.hidden))
      for head in network.aux_heads
    ),
    bottleneck=bottleneck and scaled(bottleneck),
  )


def without_batch_norm(architecture: v.Architecture) -> v.Architecture:
  """Returns the network with a bias in place of every convolution's batch norm.

  A bottleneck keeps its batch norm.
  """

  def without(operation: v.Operation) -> v.Operation:
    if not isinstance(operation, v.Conv | v.SeparableConv):
      return operation
    return dataclasses.replace(operation, batch_norm=False)

  return map_operations(without, architecture)


def with_squeeze_excite(
  architecture: v.Architecture, reduction: int | None
) -> v.Architecture:
  """Returns the network with squeeze-excite on the output of every block.

  Blocks are the `Concat`s that are whole stages, and the residual blocks, which
  get it before the scaled sum. It reduces the channels by the factor
  `reduction`; None changes nothing. SENet paper (Hu et al., 2018), figures 2
  and 3.
  """
  if reduction is None:
    return architecture
  gate = v.SqueezeExcite(reduction)

  def gated(block: v.Block) -> v.Block:
    match block:
      case v.Concat():
        return v.Gated(block, gate)
      case v.Residual():
        return dataclasses.replace(block, gate=gate)
      case v.Repeat():
        inner = dataclasses.replace(block.block, gate=gate)
        return dataclasses.replace(block, block=inner)
    return block

  stages = (
    dataclasses.replace(stage, block=gated(stage.block))
    for stage in architecture.stages
  )
  return dataclasses.replace(architecture, stages=tuple(stages))


def map_operations(
  function: Callable[[v.Operation], v.Operation], architecture: v.Architecture
) -> v.Architecture:
  """Returns the network with `function` applied to every operation."""
  stages = (
    dataclasses.replace(stage, block=_map(function, stage.block))
    for stage in architecture.stages
  )
  aux_heads = (
    dataclasses.replace(head, block=_map(function, head.block))
    for head in architecture.aux_heads
  )
  return dataclasses.replace(
    architecture, stages=tuple(stages), aux_heads=tuple(aux_heads)
  )


def _map(function: Callable[[v.Operation], v.Operation], block: Any) -> Any:
  match block:
    case v.Chain(blocks) | v.Concat(blocks):
      return type(block)(*(_map(function, part) for part in blocks))
    case v.Gated() | v.Repeat():
      return dataclasses.replace(block, block=_map(function, block.block))
    case v.Residual():
      branches = _map(function, block.branches)
      return dataclasses.replace(block, branches=branches)
  return function(block)

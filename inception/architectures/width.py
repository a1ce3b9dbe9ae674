"""A table at another width. No JAX."""

import dataclasses
from typing import TypeVar

from inception.architectures import vocabulary as v

AnyBlock = TypeVar('AnyBlock', bound=v.Block)

# Channel counts of a scaled network stay multiples of this, as all published
# ones are: tensor cores and TPU lanes want it.
CHANNEL_MULTIPLE = 8


def scale_width(architecture: v.Architecture, width: float) -> v.Architecture:
  """Returns the network with every layer's features multiplied by `width`.

  Features are rounded to a multiple of 8, at least 8; `width=1` changes
  nothing. TF-slim calls this the depth multiplier.
  """
  if width == 1:
    return architecture
  stages = tuple(
    dataclasses.replace(stage, block=_scale(stage.block, width))
    for stage in architecture.stages
  )
  aux_heads = tuple(
    dataclasses.replace(
      head,
      block=_scale(head.block, width),
      hidden=head.hidden and _features(head.hidden, width),
    )
    for head in architecture.aux_heads
  )
  bottleneck = architecture.bottleneck
  return dataclasses.replace(
    architecture,
    stages=stages,
    aux_heads=aux_heads,
    bottleneck=bottleneck and _features(bottleneck, width),
  )


def _features(features: int, width: float) -> int:
  multiples = round(features * width / CHANNEL_MULTIPLE)
  return CHANNEL_MULTIPLE * max(1, multiples)


def _scale(block: AnyBlock, width: float) -> AnyBlock:
  match block:
    case v.Conv() | v.SeparableConv():
      return dataclasses.replace(
        block, features=_features(block.features, width)
      )
    case v.Chain(blocks) | v.Concat(blocks):
      return type(block)(*(_scale(part, width) for part in blocks))
    case v.Residual():
      return dataclasses.replace(block, branches=_scale(block.branches, width))
    case v.Repeat():
      return dataclasses.replace(block, block=_scale(block.block, width))
  return block

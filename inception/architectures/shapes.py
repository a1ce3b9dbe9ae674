"""Shapes from the table alone, and the table at another width. No JAX."""

import dataclasses
from typing import TypeVar

from inception.architectures import vocabulary as v

Shape = tuple[int, int, int]
AnyBlock = TypeVar('AnyBlock', bound=v.Block)

# Channel counts of a scaled network stay multiples of this, as all published
# ones are: tensor cores and TPU lanes want it.
CHANNEL_MULTIPLE = 8


def block_shape(block: v.Block, shape: Shape) -> Shape:
  """Returns (height, width, channels) of a block's output for an input shape.

  A height or width below 1 in the result means that the input is too small.
  """
  height, width, channels = shape
  match block:
    case v.Conv() | v.SeparableConv():
      return _grid(block, height, width) + (block.features,)
    case v.MaxPool() | v.AvgPool():
      return _grid(block, height, width) + (channels,)
    case v.LocalResponseNorm() | v.Residual() | v.Repeat():
      return shape
    case v.Chain(blocks):
      for part in blocks:
        shape = block_shape(part, shape)
      return shape
    case v.Concat(blocks):
      shapes = [block_shape(part, shape) for part in blocks]
      grids = {s[:2] for s in shapes}
      if len(grids) != 1:
        raise ValueError(f'branches of {block} end in different grids: {grids}')
      return shapes[0][:2] + (sum(s[2] for s in shapes),)
  raise TypeError(f'{block!r} is not a word of the vocabulary')


def stage_shapes(
  architecture: v.Architecture, height: int, width: int
) -> dict[str, Shape]:
  """Returns (height, width, channels) after every stage, by stage name.

  Args:
    architecture: the network.
    height: of the image, pixels.
    width: of the image, pixels.

  Raises:
    ValueError: the image is too small; names the stage where nothing is left.
  """
  shape = (height, width, 3)
  shapes = {}
  for stage in architecture.stages:
    shape = block_shape(stage.block, shape)
    if min(shape[:2]) < 1:
      raise ValueError(
        f'an image of {height}x{width} pixels leaves no grid at {stage.name}'
      )
    shapes[stage.name] = shape
  return shapes


def smallest_input(architecture: v.Architecture) -> int:
  """Returns the smallest square image, in pixels, that the network takes."""
  size = 1
  while True:
    try:
      stage_shapes(architecture, size, size)
      return size
    except ValueError:
      size += 1


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
  return dataclasses.replace(architecture, stages=stages, aux_heads=aux_heads)


def _grid(
  block: v.Conv | v.SeparableConv | v.MaxPool | v.AvgPool,
  height: int,
  width: int,
) -> tuple[int, int]:
  sizes = []
  for size, kernel in zip((height, width), v.height_width(block.kernel)):
    match block.padding:
      case 'SAME':
        sizes.append(-(-size // block.stride))
      case 'SYMMETRIC':
        sizes.append((size + 2 * (kernel // 2) - kernel) // block.stride + 1)
      case 'VALID':
        if isinstance(block, v.AvgPool):
          kernel = min(kernel, size)
        sizes.append((size - kernel) // block.stride + 1)
  return sizes[0], sizes[1]


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

"""Names of convolutions inside a branch: TF-slim's, the family's common tongue.

`Conv2d_0b_5x5`: 0 for what keeps the grid and 1 for what has a stride; letters
count each kind along the branch, pooling included; then kernel height x width.
"""

from collections.abc import Iterator
import string

from inception.architectures import vocabulary as v


def convolution_names(block: v.Block) -> tuple[str, ...]:
  """Names the convolutions of a branch in the order of definition.

  >>> convolution_names(v.Chain(v.Conv(48), v.Conv(64, 5, stride=2)))
  ('Conv2d_0a_1x1', 'Conv2d_1a_5x5')
  >>> convolution_names(v.Chain(v.AvgPool(3), v.Conv(32)))
  ('Conv2d_0b_1x1',)
  """
  letters = {0: iter(string.ascii_lowercase), 1: iter(string.ascii_lowercase)}
  names = []
  for operation in _counted(block):
    kind = int(operation.stride > 1)
    height, width = v.height_width(operation.kernel)
    letter = next(letters[kind])
    if isinstance(operation, v.Conv | v.SeparableConv):
      names.append(f'Conv2d_{kind}{letter}_{height}x{width}')
  return tuple(names)


def _counted(
  block: v.Block,
) -> Iterator[v.Conv | v.SeparableConv | v.MaxPool | v.AvgPool]:
  match block:
    case v.Conv() | v.SeparableConv() | v.MaxPool() | v.AvgPool():
      yield block
    case v.Chain(blocks) | v.Concat(blocks):
      for part in blocks:
        yield from _counted(part)

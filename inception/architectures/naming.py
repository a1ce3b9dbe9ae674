"""Names of convolutions inside a branch: TF-slim's, the family's common tongue.

`Conv2d_0b_5x5`: 0 for a convolution that keeps the grid and 1 for one with a
stride; letters count each kind along the branch; then kernel height x width.
"""

from collections.abc import Iterator
import string

from inception.architectures import vocabulary as v


def convolutions(block: v.Block) -> Iterator[v.Conv | v.SeparableConv]:
  """Yields the convolutions of a branch in the order of definition."""
  match block:
    case v.Conv() | v.SeparableConv():
      yield block
    case v.Chain(blocks) | v.Concat(blocks):
      for part in blocks:
        yield from convolutions(part)


def convolution_names(block: v.Block) -> tuple[str, ...]:
  """Names the convolutions of a branch, in the order of `convolutions`.

  >>> convolution_names(v.Chain(v.Conv(48), v.Conv(64, 5, stride=2)))
  ('Conv2d_0a_1x1', 'Conv2d_1a_5x5')
  """
  letters = {0: iter(string.ascii_lowercase), 1: iter(string.ascii_lowercase)}
  names = []
  for conv in convolutions(block):
    kind = int(conv.stride > 1)
    height, width = v.height_width(conv.kernel)
    names.append(f'Conv2d_{kind}{next(letters[kind])}_{height}x{width}')
  return tuple(names)

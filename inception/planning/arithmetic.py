"""Operations that a compiled GPU program counts for nothing: its own calls.

XLA hands convolutions to cuDNN, and writes matrix products as kernels of its
own. What they compute follows from the shapes of their operands and results.
"""

from collections.abc import Mapping, Sequence
import math
import re

# What cuDNN is asked for: where kernel and output of the convolution are, among
# the result (first) and the operands.
_CUDNN = {
  '__cudnn$convForward': (2, 0),
  '__cudnn$convBiasActivationForward': (2, 0),
  '__cudnn$convBackwardInput': (2, 1),
  '__cudnn$convBackwardFilter': (0, 2),
}


def sides_of(types: str) -> tuple[int, ...]:
  """Returns the shape of the first array in the text of a type."""
  match = re.search(r'\b[a-z]+\d*\w*\[([\d,]*)\]', types)
  return tuple(int(n) for n in match[1].split(',') if n) if match else ()


def flops(line: re.Match[str], types: Mapping[str, str]) -> int:
  """Returns additions and multiplications of a matrix product or convolution.

  Args:
    line: An assignment, as `schedule` reads it.
    types: Text of the types of its operands, by their names.

  Returns:
    Two for each multiply-accumulate; 0 for any other operation.
  """
  shapes = [sides_of(line['type'])]
  shapes += [sides_of(types.get(name, '')) for name in operands(line)]
  if line['opcode'] == 'dot':
    return 2 * math.prod(shapes[0]) * _contracted(line, shapes[1])
  target = re.search(r'custom_call_target="([^"]+)"', line['rest'])
  if target is None or target[1] not in _CUDNN:
    return 0
  kernel, output = (shapes[place] for place in _CUDNN[target[1]])
  # Such as b01f_o01i->b01f: letters name the sides of image, kernel, output.
  labels = re.search(r'dim_labels=\w+_(\w+)->', line['rest'])
  features = kernel[labels[1].index('o')] if labels else 1
  return 2 * math.prod(kernel) * math.prod(output) // features


def operands(line: re.Match[str]) -> list[str]:
  """Returns the names of the operands of an assignment."""
  inside = line['rest'].partition('), ')[0]
  return re.findall(r'%([^\s,)]+)', inside)


def _contracted(line: re.Match[str], sides: Sequence[int]) -> int:
  axes = re.search(r'lhs_contracting_dims=\{([\d,]*)\}', line['rest'])
  names = axes[1].split(',') if axes else []
  return math.prod(sides[int(axis)] for axis in names if axis)

"""Bytes and arithmetic of an operation, from the text of a compiled program.

For GPUs, XLA hands convolutions to cuDNN, writes matrix products as kernels of
its own, and counts neither. What they compute follows from the shapes of their
operands and results.
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

_NUMBER_BYTES = {'pred': 1, 'bf16': 2, 'f8e4m3fn': 1, 'f8e5m2': 1}


def sides_of(types: str) -> tuple[int, ...]:
  """Returns the shape of the first array in the text of a type."""
  match = re.search(r'\b[a-z]+\d*\w*\[([\d,]*)\]', types)
  return tuple(int(n) for n in match[1].split(',') if n) if match else ()


def flops(line: re.Match[str], types: Mapping[str, str]) -> int:
  """Returns additions and multiplications of a matrix product or convolution.

  Two for each multiply-accumulate; 0 for any other operation. `types` are the
  texts of the types of its operands, by their names.
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


def bytes_of(types: str) -> int:
  """Returns the bytes of all arrays in the text of a type, unpadded."""
  return sum(
    _number_bytes(number) * math.prod(int(n) for n in sides.split(',') if n)
    for number, sides in re.findall(r'\b([a-z]+\d*\w*)\[([\d,]*)\]', types)
  )


def _contracted(line: re.Match[str], sides: Sequence[int]) -> int:
  axes = re.search(r'lhs_contracting_dims=\{([\d,]*)\}', line['rest'])
  names = axes[1].split(',') if axes else []
  return math.prod(sides[int(axis)] for axis in names if axis)


def _number_bytes(name: str) -> int:
  if name in _NUMBER_BYTES:
    return _NUMBER_BYTES[name]
  bits = re.search(r'\d+', name)
  return int(bits[0]) // 8 if bits else 0

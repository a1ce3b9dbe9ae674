"""Bytes and FLOPs of an operation, from the HLO text of a compiled program.

For GPUs, XLA calls cuDNN for convolutions, generates its own kernels for matrix
products, and counts the FLOPs of neither. They follow from the shapes of
operands and results.
"""

from collections.abc import Mapping, Sequence
import math
import re

# For each cuDNN call, the indices of the convolution's kernel and output in
# (result, *operands).
_CUDNN = {
  '__cudnn$convForward': (2, 0),
  '__cudnn$convBiasActivationForward': (2, 0),
  '__cudnn$convBackwardInput': (2, 1),
  '__cudnn$convBackwardFilter': (0, 2),
}

_NUMBER_BYTES = {'pred': 1, 'bf16': 2, 'f8e4m3fn': 1, 'f8e5m2': 1}


def sides_of(types: str) -> tuple[int, ...]:
  """Returns the shape of the first array in an HLO type."""
  match = re.search(r'\b[a-z]+\d*\w*\[([\d,]*)\]', types)
  return tuple(int(n) for n in match[1].split(',') if n) if match else ()


def flops(line: re.Match[str], types: Mapping[str, str]) -> int:
  """Returns the FLOPs of a matrix product or convolution.

  Two per multiply-accumulate; 0 for any other operation. `types` maps the names
  of operands to their HLO types.
  """
  shapes = [sides_of(line['type'])]
  shapes += [sides_of(types.get(name, '')) for name in operands(line)]
  if line['opcode'] == 'dot':
    return 2 * math.prod(shapes[0]) * _contracted(line, shapes[1])
  target = re.search(r'custom_call_target="([^"]+)"', line['rest'])
  if target is None or target[1] not in _CUDNN:
    return 0
  kernel, output = (shapes[place] for place in _CUDNN[target[1]])
  # Such as b01f_o01i->b01f: the dimensions of image, kernel and output.
  labels = re.search(r'dim_labels=\w+_(\w+)->', line['rest'])
  features = kernel[labels[1].index('o')] if labels else 1
  return 2 * math.prod(kernel) * math.prod(output) // features


def operands(line: re.Match[str]) -> list[str]:
  """Returns the names of the operands of an assignment."""
  inside = line['rest'].partition('), ')[0]
  return re.findall(r'%([^\s,)]+)', inside)


def bytes_of(types: str) -> int:
  """Returns the bytes of all arrays in an HLO type, without padding."""
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

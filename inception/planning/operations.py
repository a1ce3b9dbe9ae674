"""Parses the HLO text of a compiled program into operations.

XLA prints an optimized program in execution order. For TPUs it adds an estimate
of the cycles that each operation takes, except for a few kinds.
"""

from collections.abc import Iterator
import dataclasses
import re

from inception.planning import arithmetic

Line = re.Match[str]  # An assignment, see `_ASSIGNMENT`.
Computations = dict[str, list[Line]]  # Assignments by name of a computation.

# Kinds of operations by the opcodes inside them, in order of importance.
_KINDS = {
  'all-reduce': ('all-reduce', 'all-reduce-start'),
  'permute': ('collective-permute', 'collective-permute-start'),
  'convolution': ('convolution', 'dot'),
  'pooling': ('reduce-window', 'select-and-scatter'),
  'copy': ('copy',),
}
OTHER_KIND = 'elementwise'
COLLECTIVES = ('all-reduce', 'permute')

# These take no time. Nor do others that end in -start or -done: they move data
# while the operations between them run.
_FREE = {
  'parameter',
  'constant',
  'tuple',
  'get-tuple-element',
  'bitcast',
  'after-all',
  'partition-id',
  'replica-id',
}

_SLICES = ('slice', 'dynamic-slice')

_ASSIGNMENT = re.compile(
  r'^ +(?:ROOT )?%(?P<name>\S+) = (?P<type>.*?) (?P<opcode>[a-z][\w-]*)\('
  r'(?P<rest>.*)$'
)


@dataclasses.dataclass(frozen=True)
class Operation:
  """An operation of the schedule.

  Attributes:
    name: Name in the compiled program.
    source: Scopes and primitive in the JAX program.
    kind: A key of `_KINDS`, or `OTHER_KIND`.
    cycles: The compiler's estimate; None if there is none.
    flops: FLOPs of cuDNN's convolutions and of matrix products; otherwise 0.
    bytes_read_written: Bytes of all operands and results.
    result_bytes: Bytes of the results.
    times: How often it runs in a step.
  """

  name: str
  source: str
  kind: str
  cycles: int | None
  bytes_read_written: int
  result_bytes: int
  flops: int = 0
  times: int = 1

  @property
  def is_backward(self) -> bool:
    """True if it belongs to the backward pass."""
    return 'transpose(' in self.source


def operations(text: str) -> list[Operation]:
  """Returns the operations of a program, from `compiled.as_text()`."""
  computations = _computations(text)
  entry = next(name for name in computations if name.startswith('ENTRY'))
  return list(_walk(entry, computations, times=1))


def _computations(text: str) -> Computations:
  computations: Computations = {}
  current: list[Line] = []
  for line in text.splitlines():
    if line.startswith(('%', 'ENTRY')) and line.endswith('{'):
      entry, _, rest = line.partition('%')
      current = computations[entry + rest.split(' ', 1)[0]] = []
    elif match := _ASSIGNMENT.match(line):
      current.append(match)
  return computations


def _walk(
  name: str, computations: Computations, times: int
) -> Iterator[Operation]:
  types: dict[str, str] = {}
  for line in computations[name]:
    rest = line['rest']
    types[line['name']] = line['type']
    if line['opcode'] == 'while':
      trips = _trips(line, computations)
      yield from _walk(_called(rest, 'body'), computations, times * trips)
      continue
    if _is_free(line):
      continue
    read = sum(_bytes_read(line, types, computations))
    written = arithmetic.bytes_of(line['type'])
    kind = _kind(line, computations)
    if line['opcode'] == 'all-reduce-start':
      written = max(written - read, read)  # May also return its operands.
    cycles = re.search(r'"estimated_cycles":"(\d+)"', rest)
    yield Operation(
      name=line['name'],
      source=_source(line, computations),
      kind=kind,
      cycles=int(cycles[1]) if cycles else None,
      bytes_read_written=read + written,
      result_bytes=written,
      flops=_flops(line, types, computations),
      times=times,
    )


def _trips(line: Line, computations: Computations) -> int:
  """Returns the trip count of a loop; 1 if the program does not give it."""
  # GPU programs state it. In TPU programs, a loop of `lax.scan` runs while a
  # counter from 0 is less than a constant.
  if known := re.search(r'"known_trip_count":\{"n":"(\d+)"', line['rest']):
    return int(known[1])
  condition = computations.get(_called(line['rest'], 'condition'), [])
  constants = {
    part['name']: part['rest'].partition(')')[0]
    for part in condition
    if part['opcode'] == 'constant'
  }
  for part in condition:
    if part['opcode'] == 'compare' and 'direction=LT' in part['rest']:
      _, limit = arithmetic.operands(part)
      if constants.get(limit, '').isdecimal():
        return int(constants[limit])
  return 1


def _is_free(line: Line) -> bool:
  opcode = line['opcode']
  if opcode.endswith(('-start', '-done')):
    return not any(opcode in opcodes for opcodes in _KINDS.values())
  return opcode in _FREE or 'custom_call_target="ConcatBitcast"' in line['rest']


def _kind(line: Line, computations: Computations) -> str:
  if '__cudnn$conv' in line['rest']:
    return 'convolution'
  inside = _opcodes(line, computations)
  for kind, opcodes in _KINDS.items():
    if not inside.isdisjoint(opcodes):
      return kind
  return OTHER_KIND


def _opcodes(line: Line, computations: Computations) -> set[str]:
  """Returns the opcode of an operation, or those fused into it."""
  if line['opcode'] != 'fusion':
    return {line['opcode']}
  inner = _fused(line, computations)
  return set().union(*(_opcodes(part, computations) for part in inner))


def _bytes_read(
  line: Line, types: dict[str, str], computations: Computations
) -> list[int]:
  """Returns the bytes that an operation reads from each operand."""
  # A slice reads no more than it returns. XLA concatenates many gradients for
  # an all-reduce and then slices the result, also inside fusions.
  sizes = [
    arithmetic.bytes_of(types.get(x, '')) for x in arithmetic.operands(line)
  ]
  if line['opcode'] in _SLICES:
    return [min(sizes[0], arithmetic.bytes_of(line['type'])), *sizes[1:]]
  if line['opcode'] != 'fusion':
    return sizes
  inner = _fused(line, computations)
  for part in inner:
    if part['opcode'] != 'parameter':
      continue
    place = int(part['rest'].partition(')')[0])
    users = [x for x in inner if part['name'] in arithmetic.operands(x)]
    if users and all(user['opcode'] in _SLICES for user in users):
      sliced = sum(arithmetic.bytes_of(user['type']) for user in users)
      sizes[place] = min(sizes[place], sliced)
  return sizes


def _source(line: Line, computations: Computations) -> str:
  """Returns the source of an operation, or of one fused into it."""
  if match := re.search(r'op_name="([^"]*)"', line['rest']):
    return match[1]
  sources = (_source(part, computations) for part in _fused(line, computations))
  return max(sources, key=len, default='')  # The most specific.


def _flops(
  line: Line, types: dict[str, str], computations: Computations
) -> int:
  """Returns the FLOPs of an operation, or of those fused into it."""
  if line['opcode'] != 'fusion':
    return arithmetic.flops(line, types)
  inner = _fused(line, computations)
  inner_types = {part['name']: part['type'] for part in inner}
  return sum(_flops(part, inner_types, computations) for part in inner)


def _fused(line: Line, computations: Computations) -> list[Line]:
  return computations.get(_called(line['rest'], 'calls'), [])


def _called(rest: str, attribute: str) -> str:
  """Returns the name of the computation that an attribute refers to."""
  match = re.search(rf'\b{attribute}=%([^\s,)]+)', rest)
  return match[1] if match else ''

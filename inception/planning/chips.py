"""Chips that a step can be planned for: what their makers say of them.

Sources, per chip: peak, memory bandwidth and links from
cloud.google.com/tpu/docs/v5e, .../v5p and .../v6e; memory is what the compiler
reports as available; the clock follows from the peak and the matrix units of
these pages (four of 128 x 128 per core, of 256 x 256 on v6e, two operations a
cycle). A hop takes about a microsecond (jax-ml.github.io/scaling-book, "TPUs").
"""

import dataclasses
import math
import re

from inception.errors import UserError, lookup

HOP_SECONDS = 1e-6
_GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Chip:
  """An accelerator.

  Attributes:
    peak: Operations per second in bfloat16, two per multiply-accumulate.
    memory: Bytes that a program may use.
    bandwidth: Bytes per second between memory and chip.
    clock: Cycles per second.
    link: Bytes per second that a chip sends to one of its neighbors.
    axes: Directions in which chips are connected.
  """

  peak: float
  memory: int
  bandwidth: float
  clock: float
  link: float
  axes: int


CHIPS = {
  'v5e': Chip(197e12, int(15.75 * _GIB), 819e9, 1.5e9, 50e9, 2),
  'v5p': Chip(459e12, int(95.73 * _GIB), 2765e9, 1.75e9, 100e9, 3),
  'v6e': Chip(918e12, int(31.24 * _GIB), 1640e9, 1.75e9, 100e9, 2),
}


@dataclasses.dataclass(frozen=True)
class Topology:
  """Chips in a mesh.

  Attributes:
    name: As given, such as 'v5e:2x2'.
    kind: A key of `CHIPS`.
    shape: Chips along each axis.
  """

  name: str
  kind: str
  shape: tuple[int, ...]

  @property
  def chip(self) -> Chip:
    """One of the chips."""
    return CHIPS[self.kind]

  @property
  def size(self) -> int:
    """Number of chips."""
    return math.prod(self.shape)

  def all_reduce_seconds(self, size: float) -> float:
    """Returns the time in which all chips add up `size` bytes each.

    In rings along all axes at once: every byte leaves a chip nearly twice, on
    all its links, and passes every chip of an axis. Nothing else uses them.
    """
    if self.size == 1:
      return 0.0
    ports = sum(min(length - 1, 2) for length in self.shape)
    sent = 2 * size * (self.size - 1) / self.size
    hops = 2 * sum(length // 2 for length in self.shape)
    return sent / (ports * self.chip.link) + hops * HOP_SECONDS

  def permute_seconds(self, size: float) -> float:
    """Returns the time in which each chip sends `size` bytes to the next."""
    return size / self.chip.link + HOP_SECONDS if self.size > 1 else 0.0


def parse(name: str) -> Topology:
  """Reads the name of a topology.

  Args:
    name: A chip and chips along each axis: 'v5e:4x4', 'v5p:2x2x1', 'v6e:1x1'.

  Raises:
    UserError: There is no such chip, or the shape does not suit it.
  """
  kind, _, text = name.partition(':')
  chip = lookup(CHIPS, kind, 'topology')
  example = 'x'.join(['2', '2', '1'][: chip.axes])
  if not re.fullmatch(r'[1-9]\d*(x[1-9]\d*)*', text):
    raise UserError(f'topology={name} has no shape; try {kind}:{example}')
  shape = tuple(map(int, text.split('x')))
  if len(shape) != chip.axes:
    raise UserError(
      f'topology={name}: {kind} has {chip.axes} axes; try {kind}:{example}'
    )
  return Topology(name, kind, shape)

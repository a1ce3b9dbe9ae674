"""Chips that a step can be planned for, with their published specifications.

For TPUs, peak, memory bandwidth and links are from
cloud.google.com/tpu/docs/v5e, .../v5p and .../v6e; memory is what the compiler
reports as available; the clock follows from the peak and the matrix units on
these pages (four of 128 x 128 per core, 256 x 256 on v6e, two operations per
cycle). The latency of a hop, about a microsecond, and which axes form rings are
from jax-ml.github.io/scaling-book, "TPUs". For GPUs, the sources are NVIDIA's
data sheets of the H100 and H200 (SXM, without sparsity; NVLink counted in one
direction), and XLA's target descriptions for memory and clock.
"""

import dataclasses
import math
import re

from inception.errors import UserError, lookup

HOP_SECONDS = 1e-6
_GIB = 2**30
# GPUs of one host, connected by a switch.
_MOST_GPUS = 8


@dataclasses.dataclass(frozen=True)
class Chip:
  """An accelerator.

  Attributes:
    platform: JAX platform, 'tpu' or 'cuda'.
    peak: Operations per second in bfloat16, two per multiply-accumulate.
    memory: Bytes that a program may use.
    bandwidth: Memory bandwidth in bytes per second.
    clock: Cycles per second.
    link: Bytes per second that a chip sends to one of its neighbors, or to the
      switch.
    axes: Axes of the mesh of chips; 0 if a switch connects all.
    ring: An axis forms a ring if its number of chips is a multiple of this,
      otherwise a line.
  """

  platform: str
  peak: float
  memory: int
  bandwidth: float
  clock: float
  link: float
  axes: int
  ring: int = 0


def _taken(memory: float) -> int:
  """Returns how much of a GPU's memory JAX allocates by default."""
  return int(0.75 * memory)  # XLA_PYTHON_CLIENT_MEM_FRACTION


CHIPS = {
  'v5e': Chip('tpu', 197e12, int(15.75 * _GIB), 819e9, 1.5e9, 50e9, 2, 16),
  'v5p': Chip('tpu', 459e12, int(95.73 * _GIB), 2765e9, 1.75e9, 100e9, 3, 4),
  'v6e': Chip('tpu', 918e12, int(31.24 * _GIB), 1640e9, 1.75e9, 100e9, 2, 16),
  'h100': Chip('cuda', 989e12, _taken(84.94e9), 3352e9, 1.98e9, 450e9, 0),
  'h200': Chip('cuda', 989e12, _taken(151.4e9), 4800e9, 1.98e9, 450e9, 0),
}


@dataclasses.dataclass(frozen=True)
class Topology:
  """Chips in a mesh.

  Attributes:
    name: As given, such as 'v5e:2x2'.
    kind: A key of `CHIPS`.
    shape: Chips along each axis; with a switch, just their number.
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
    """Returns the seconds of an all-reduce of `size` bytes per chip.

    It runs along all axes at once: each chip sends every byte nearly twice. A
    ring gives a chip two links; a line counts as one, as at its ends. The data
    crosses every axis twice. Nothing else uses the links.
    """
    if self.size == 1:
      return 0.0
    links, hops = 1, 2
    if self.chip.axes:
      rings = [n for n in self.shape if n % self.chip.ring == 0]
      lines = [n for n in self.shape if n % self.chip.ring and n > 1]
      links = 2 * len(rings) + len(lines)
      hops = 2 * (sum(n // 2 for n in rings) + sum(n - 1 for n in lines))
    sent = 2 * size * (self.size - 1) / self.size
    return sent / (links * self.chip.link) + hops * HOP_SECONDS

  def permute_seconds(self, size: float) -> float:
    """Returns the seconds for each chip to send `size` bytes to the next."""
    return size / self.chip.link + HOP_SECONDS if self.size > 1 else 0.0


def parse(name: str) -> Topology:
  """Parses the name of a topology.

  Args:
    name: A chip and its count along each axis: 'v5e:4x4', 'v5p:2x2x1',
      'v6e:1x1'; or a GPU and its count on a host: 'h100:8', or 'h100' for one.

  Raises:
    UserError: The chip is unknown, or the shape does not suit it.
  """
  kind, _, text = name.partition(':')
  chip = lookup(CHIPS, kind, 'topology')
  if not chip.axes:
    text = text or '1'
    if not text.isdecimal() or not 1 <= int(text) <= _MOST_GPUS:
      raise UserError(
        f'topology={name}: a host has 1 to {_MOST_GPUS} GPUs; try'
        f' {kind}:{_MOST_GPUS}'
      )
    return Topology(name, kind, (int(text),))
  example = 'x'.join(['2', '2', '1'][: chip.axes])
  if not re.fullmatch(r'[1-9]\d*(x[1-9]\d*)*', text):
    raise UserError(f'topology={name} has no shape; try {kind}:{example}')
  shape = tuple(map(int, text.split('x')))
  if len(shape) != chip.axes:
    raise UserError(
      f'topology={name}: {kind} has {chip.axes} axes; try {kind}:{example}'
    )
  return Topology(name, kind, shape)

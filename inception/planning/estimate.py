"""Time of a compiled step: the sum of the compiler's estimates."""

from collections.abc import Callable, Sequence
import dataclasses
import re

from inception.planning.chips import Topology
from inception.planning.operations import COLLECTIVES, Operation, operations
from inception.planning.programs import Compiled

OTHER = 'other'


@dataclasses.dataclass(frozen=True)
class Estimate:
  """The estimated cost of a step on some chips; nothing was run.

  Attributes:
    batch_size: Images per step, on all chips.
    fits: The program fits into the memory of a chip.
    peak_bytes: Memory that it takes per chip; None if unknown.
    memory_bytes: Memory available per chip.
    compile_seconds: Compile time on this machine.
    cycles: Sum of the compiler's estimates for operations that have one.
    step_seconds: These cycles, plus collectives, plus operations without an
      estimate at full memory bandwidth or peak arithmetic, whichever is slower.
    all_reduce_seconds: From the formula for rings; not overlapped.
    all_reduces: Number of all-reduces.
    all_reduce_bytes: Bytes that each chip reduces.
    not_estimated: Number of operations without an estimate; on GPUs, all.
    images_per_second: On all chips.
    peak_share: Fraction of the chip's peak bfloat16 arithmetic that is used.
    bandwidth_share: Bytes accessed, as counted, over what memory could move;
      some are in faster memory, so it may exceed 1.
    limit: 'arithmetic' or 'memory', the larger share.
  """

  batch_size: int
  fits: bool
  peak_bytes: int | None
  memory_bytes: int
  compile_seconds: float
  cycles: int = 0
  step_seconds: float = 0.0
  all_reduce_seconds: float = 0.0
  all_reduces: int = 0
  all_reduce_bytes: int = 0
  not_estimated: int = 0
  images_per_second: float = 0.0
  peak_share: float = 0.0
  bandwidth_share: float = 0.0
  limit: str = ''


def estimate(
  compiled: Compiled, topology: Topology, batch_size: int
) -> Estimate:
  """Estimates the cost of a program compiled for these chips."""
  chip = topology.chip
  # For GPUs, XLA also compiles programs that do not fit.
  fits = compiled.text is not None and (
    compiled.peak_bytes is None or compiled.peak_bytes <= chip.memory
  )
  known = Estimate(
    batch_size=batch_size,
    fits=fits,
    peak_bytes=compiled.peak_bytes,
    memory_bytes=chip.memory,
    compile_seconds=compiled.seconds,
  )
  if compiled.text is None or not fits:
    return known
  steps = operations(compiled.text)
  reduces = [op for op in steps if op.kind == 'all-reduce']
  unknown = [
    op for op in steps if op.cycles is None and op.kind not in COLLECTIVES
  ]
  cycles = sum((op.cycles or 0) * op.times for op in steps)
  reducing = sum(seconds(op, topology) * op.times for op in reduces)
  total = sum(seconds(op, topology) * op.times for op in steps)
  # The compiler's own counts include the body of a loop once.
  once = sum(seconds(op, topology) for op in steps)
  flops = sum(op.flops * op.times for op in steps) / total
  if compiled.flops is not None:
    flops = compiled.flops / once
  moved = sum(op.bytes_read_written * op.times for op in steps) / total
  if compiled.bytes_moved is not None:
    moved = compiled.bytes_moved / once
  peak_share = flops / chip.peak
  bandwidth_share = moved / chip.bandwidth
  return dataclasses.replace(
    known,
    cycles=cycles,
    step_seconds=total,
    all_reduce_seconds=reducing,
    all_reduces=sum(op.times for op in reduces),
    all_reduce_bytes=sum(op.result_bytes * op.times for op in reduces),
    not_estimated=sum(op.times for op in unknown),
    images_per_second=batch_size / total,
    peak_share=peak_share,
    bandwidth_share=bandwidth_share,
    limit='arithmetic' if peak_share > bandwidth_share else 'memory',
  )


def seconds(op: Operation, topology: Topology) -> float:
  """Returns the time of an operation per run; see `Estimate.step_seconds`."""
  if op.kind == 'all-reduce':
    return topology.all_reduce_seconds(op.result_bytes)
  if op.kind == 'permute':
    return topology.permute_seconds(op.result_bytes / 2)  # Input and output.
  if op.cycles is None:
    chip = topology.chip
    return max(op.bytes_read_written / chip.bandwidth, op.flops / chip.peak)
  return op.cycles / topology.chip.clock


def by_stage(stages: Sequence[str]) -> Callable[[Operation], str]:
  """Returns a function that finds an operation's stage and direction."""
  pattern = re.compile(rf'\b({"|".join(map(re.escape, stages))})\b')

  def stage(op: Operation) -> str:
    match = pattern.search(op.source)
    if match is None:
      return OTHER
    return f'{match[1]} {"backward" if op.is_backward else "forward"}'

  return stage


def by_kind(op: Operation) -> str:
  """Returns an operation's kind and direction."""
  return f'{op.kind} {"backward" if op.is_backward else "forward"}'


def by_op(op: Operation) -> str:
  """Returns an operation's own name, and where it comes from."""
  return f'{op.name} ({op.source.rpartition("/")[2] or OTHER})'

"""Functions that define a sweep, for `get_hyper(hyper)` in a config file.

A sweep is a list of overrides, one dict per run. The names and their meaning
are those of Google's JAX codebases:

    def get_hyper(hyper):
      return hyper.product([
        hyper.sweep('model.architecture', ['googlenet', 'inception_v3']),
        hyper.sweep('seed', range(3)),
      ])

A search draws values: `hyper.sweep('model.dropout', hyper.uniform(0, 0.5))`.
"""

from collections.abc import Iterable, Sequence
import dataclasses
import itertools
import math
from typing import Any

from inception.errors import UserError

Overrides = dict[str, Any]
Sweep = list[Overrides]


@dataclasses.dataclass(frozen=True)
class Interval:
  """A range of numbers that a search draws from.

  Attributes:
    low: The smallest.
    high: The largest.
    log: Draw uniformly on a logarithmic scale.
  """

  low: float
  high: float
  log: bool = False

  def __post_init__(self) -> None:
    ordered = -math.inf < self.low < self.high < math.inf
    if not ordered or (self.log and self.low <= 0):
      raise UserError(
        f'cannot search from {self.low} to {self.high}: needs finite low < high'
        + (' and low > 0' if self.log else '')
      )


@dataclasses.dataclass(frozen=True)
class Choice:
  """Values that a search chooses from."""

  values: tuple[Any, ...]


def uniform(low: float, high: float) -> Interval:
  """Lets a search draw uniformly from `low` to `high`."""
  return Interval(low, high)


def log_uniform(low: float, high: float) -> Interval:
  """Lets a search draw from `low` > 0 to `high` on a logarithmic scale."""
  return Interval(low, high, log=True)


def choice(values: Iterable[Any]) -> Choice:
  """Lets a search choose one of the values."""
  return Choice(tuple(values))


def sweep(field: str, values: Iterable[Any] | Interval | Choice) -> Sweep:
  """Returns one run per value of a config field, such as 'model.width'.

  One run if a search draws the value.
  """
  if isinstance(values, Interval | Choice):
    return [{field: values}]
  return [{field: value} for value in values]


def fixed(field: str, value: Any, length: int = 1) -> Sweep:
  """Returns `length` runs with the same value of a field."""
  return [{field: value} for _ in range(length)]


def product(sweeps: Sequence[Sweep]) -> Sweep:
  """Returns every combination of runs; the last sweep changes fastest."""
  return [_merge(parts) for parts in itertools.product(*sweeps)]


def zipit(sweeps: Sequence[Sweep]) -> Sweep:
  """Merges the first runs of all sweeps into one, then the second ones, ...

  Raises:
    UserError: The sweeps have different lengths.
  """
  lengths = sorted({len(part) for part in sweeps})
  if len(lengths) > 1:
    raise UserError(
      f'zipit needs sweeps of equal length, not {lengths[0]} and {lengths[-1]}'
    )
  return [_merge(parts) for parts in zip(*sweeps)]


def chainit(sweeps: Sequence[Sweep]) -> Sweep:
  """Returns the runs of all sweeps, one after the other."""
  return list(itertools.chain.from_iterable(sweeps))


def _merge(parts: Iterable[Overrides]) -> Overrides:
  merged: Overrides = {}
  for part in parts:
    for field in part:
      if field in merged:
        raise UserError(f'{field} is swept twice in one product or zip')
    merged.update(part)
  return merged

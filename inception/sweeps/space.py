"""The search space, and how a study stores the drawn values."""

from collections.abc import Mapping, Sequence
import dataclasses
import json
import math
from typing import Any

from inception.errors import UserError
from inception.sweeps import grid, hyper

# The parameter that draws whole rows, if a sweep is not a product of fields.
ROW = 'row of the sweep'

Space = Mapping[str, hyper.Interval | Sequence[Any]]


def find_space(sweep: hyper.Sweep) -> Space:
  """Returns the search space of a sweep.

  Fields are drawn independently if the sweep holds every combination of their
  values. Otherwise one of its rows is drawn.

  Raises:
    UserError: The sweep is empty, or its rows draw a field in different ways.
  """
  if not sweep:
    raise UserError('the sweep is empty; give every field at least one value')
  drawn: dict[str, Any] = {}
  listed: dict[str, Any] = {}
  for field in dict.fromkeys(name for row in sweep for name in row):
    values = [grid.plain(row.get(field)) for row in sweep]
    first = values[0]
    if not any(isinstance(v, hyper.Interval | hyper.Choice) for v in values):
      listed[field] = list(
        {json.dumps(value): value for value in values}.values()
      )
    elif any(value != first for value in values):
      raise UserError(
        f'{field} must be drawn in the same way in every row of the sweep'
      )
    else:
      drawn[field] = (
        [grid.plain(value) for value in first.values]
        if isinstance(first, hyper.Choice)
        else first
      )
  if math.prod(map(len, listed.values())) == len(sweep):
    return {**drawn, **listed}
  rows = [
    {k: grid.plain(v) for k, v in row.items() if k not in drawn}
    for row in sweep
  ]
  return {ROW: rows, **drawn}


def stored(value: Any) -> Any:
  """Returns a value as Optuna stores it: strings and numbers, or JSON."""
  simple = value is None or isinstance(value, str | int | float)
  return value if simple else json.dumps(value)


def _contains(space: hyper.Interval | Sequence[Any], value: Any) -> bool:
  if isinstance(space, hyper.Interval):
    return isinstance(value, float) and space.low <= value <= space.high
  return json.dumps(value) in map(json.dumps, space)


def describe(space: Space) -> str:
  """Returns the space as JSON, for comparison."""
  return json.dumps(space, default=dataclasses.asdict)


def drawn_for(
  space: Space, overrides: Mapping[str, Any]
) -> dict[str, Any] | None:
  """Returns the draw that would give a run, as Optuna stores it.

  None if the run is outside the search space.
  """
  drawn = {name: overrides[name] for name in space if name in overrides}
  rest = {name: v for name, v in overrides.items() if name not in space}
  if ROW in space:
    drawn[ROW], rest = rest, {}
  if rest or drawn.keys() != space.keys():
    return None
  if not all(_contains(space[name], value) for name, value in drawn.items()):
    return None
  return {name: stored(value) for name, value in drawn.items()}

"""The runs of a sweep: checked overrides, a name each, and a command line."""

import dataclasses
import difflib
import hashlib
import json
import os
import re
from typing import Any

import ml_collections

from inception.config import checks, compare
from inception.errors import UserError, are, count, warn
from inception.sweeps.hyper import Choice, Interval, Overrides, Sweep

_LONGEST_NAME = 80


@dataclasses.dataclass(frozen=True)
class Base:
  """What all runs of a sweep have in common.

  Attributes:
    file: Name of the config file, with its argument if it has one.
    path: The same with its whole path.
    config: Its config, with `overrides`.
    overrides: Fields that were set for all runs.
  """

  file: str
  path: str
  config: ml_collections.ConfigDict
  overrides: Overrides


@dataclasses.dataclass(frozen=True)
class Run:
  """A run of a sweep.

  Attributes:
    name: Name of its workdir.
    overrides: Its own fields.
    flags: Arguments of training, but --workdir.
    cwd: Where the sweep was started: relative paths in `flags` start there,
      wherever an engine runs it.
  """

  name: str
  overrides: Overrides
  flags: tuple[str, ...]
  cwd: str = dataclasses.field(default_factory=os.getcwd)


def make_runs(base: Base, sweep: Sweep) -> list[Run]:
  """Checks all runs of a sweep.

  Raises:
    UserError: The sweep is empty, or a run has a wrong field.
  """
  if not sweep:
    raise UserError('the sweep is empty: it has no run')
  runs = {run.name: run for run in (make_run(base, each) for each in sweep)}
  if equal := len(sweep) - len(runs):
    warn(
      f'{count(equal, "run")} of the sweep {are(equal)} like others: left out'
    )
  return list(runs.values())


def make_run(base: Base, overrides: Overrides) -> Run:
  """Checks one run and names it.

  Raises:
    UserError: Names the wrong field.
  """
  overrides = {field: plain(value) for field, value in overrides.items()}
  check_overrides(base.config, overrides)
  known = compare.flatten(base.config)
  everything = {**base.overrides, **overrides}
  flags = [f'--config={base.path}']
  for field, value in everything.items():
    # A field that is unset in the config stays so: None has no text.
    if value is not None:
      flags.append(f'--config.{field}={value}')
    elif known[field] is not None:
      raise UserError(
        f'{field} cannot be unset in a sweep; unset it in the config file'
      )
  return Run(_name(base, overrides), overrides, tuple(flags))


def check_overrides(
  config: ml_collections.ConfigDict, overrides: Overrides
) -> None:
  """Checks a config with overrides, as far as it can be without data.

  Raises:
    UserError: Names the wrong field, or the run where fields contradict.
  """
  from inception.training import check  # Slow to import.

  config = config.copy_and_resolve_references()
  known = compare.flatten(config)
  for field, value in overrides.items():
    if field not in known:
      close = difflib.get_close_matches(field, known, 1)
      hint = f'; did you mean {close[0]}?' if close else ''
      raise UserError(f'no such config field: {field}{hint}')
    try:
      config.update_from_flattened_dict({field: value})
    except (TypeError, ValueError) as error:
      raise UserError(
        f'{field}={value!r} is of type {type(value).__name__}, which the field'
        ' does not take'
      ) from error
  check.check(config)


def parse(text: str) -> tuple[str, Any]:
  """Returns the field and the values of 'model.width=0.5,1.0'.

  Values of tuples are written as in Python: 'data.crop_area=(0.1, 1.0),(1, 1)'.
  A search also takes 'FIELD=uniform(LOW, HIGH)' and 'log_uniform(LOW, HIGH)'.

  Raises:
    UserError: The text is something else, or a value is of another type.
  """
  field, found, values = text.partition('=')
  if not found or not values.strip():
    raise UserError(
      f'--sweep={text} has no values; try --sweep=model.width=0.5,1.0'
    )
  if drawn := re.fullmatch(r'(uniform|log_uniform)\((.+),(.+)\)', values):
    try:
      low, high = float(drawn[2]), float(drawn[3])
    except ValueError:
      raise UserError(f'--sweep={text} has no two numbers') from None
    return field, Interval(low, high, drawn[1] == 'log_uniform')
  kind = checks.type_of(field)
  texts = re.findall(r'\(.*?\)|[^,]+', values)
  return field, [_value(field, each.strip(), kind) for each in texts]


def _value(field: str, text: str, kind: type) -> Any:
  try:
    if kind is bool:
      return {'true': True, 'false': False}[text.lower()]
    if kind is tuple:
      return tuple(json.loads(f'[{text.strip("()")}]'))
    return kind(text)
  except (KeyError, ValueError) as error:
    raise UserError(
      f'{field}={text} is not of type {kind.__name__}, which the field takes'
    ) from error


def plain(value: Any) -> Any:
  """Returns a value as configs hold it: no NumPy scalars, tuples for lists."""
  if hasattr(value, 'item') and not isinstance(value, str):
    value = value.item()
  return tuple(map(plain, value)) if isinstance(value, list | tuple) else value


def _name(base: Base, overrides: Overrides) -> str:
  """Returns the overrides in words, and a hash of them."""
  text = json.dumps([base.file, base.overrides, overrides], sort_keys=True)
  digest = hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
  words = '-'.join(_word(*item) for item in overrides.items())
  return f'{words[:_LONGEST_NAME]}-{digest}'.lstrip('-')


def _word(field: str, value: Any) -> str:
  name = field.rpartition('.')[2]
  if isinstance(value, str):
    text = os.path.basename(value.rstrip('/'))
  elif isinstance(value, int | float) and not isinstance(value, bool):
    text = f'{name}{value:g}'
  else:
    text = f'{name}{value}'
  return re.sub(r'[^\w.+-]+', '_', text).strip('_.')


def is_search(sweep: Sweep) -> bool:
  """True if a value of the sweep is drawn, not given."""
  return any(
    isinstance(value, Interval | Choice)
    for run in sweep
    for value in run.values()
  )

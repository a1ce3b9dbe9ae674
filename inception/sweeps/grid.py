"""The runs of a sweep, each with checked overrides, a name and flags."""

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
    path: The same, as an absolute path.
    config: The config, with `overrides` applied.
    overrides: Fields set for all runs.
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
    overrides: Fields set for this run only.
    flags: Flags of training, except --workdir.
    cwd: Where the sweep was started; relative paths in `flags` are relative to
      it, with any engine.
  """

  name: str
  overrides: Overrides
  flags: tuple[str, ...]
  cwd: str = dataclasses.field(default_factory=os.getcwd)


def make_runs(base: Base, sweep: Sweep) -> list[Run]:
  """Returns the runs of a sweep, checked and without duplicates.

  Raises:
    UserError: The sweep is empty, or a run has a wrong field.
  """
  if not sweep:
    raise UserError('the sweep is empty; give every field at least one value')
  runs = {run.name: run for run in (make_run(base, each) for each in sweep)}
  if equal := len(sweep) - len(runs):
    warn(f'{count(equal, "duplicate run")} of the sweep {are(equal)} skipped')
  return list(runs.values())


def make_run(base: Base, overrides: Overrides) -> Run:
  """Checks one run and names it.

  Raises:
    UserError: A field is wrong; the message names it.
  """
  overrides = {field: plain(value) for field, value in overrides.items()}
  check_overrides(base.config, overrides)
  known = compare.flatten(base.config)
  everything = {**base.overrides, **overrides}
  flags = [f'--config={base.path}']
  for field, value in everything.items():
    # None has no form as a flag: the config must leave the field unset.
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
  """Checks a config with overrides, as far as possible without data.

  Raises:
    UserError: A field is wrong, or fields contradict each other.
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

  Tuples are written as in Python: 'data.crop_area=(0.1, 1.0),(1, 1)'.
  A search also takes 'FIELD=uniform(LOW, HIGH)' and 'log_uniform(LOW, HIGH)'.

  Raises:
    UserError: The text has a different form, or a value has the wrong type.
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
      raise UserError(f'--sweep={text} needs numeric LOW and HIGH') from None
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
      f'{field}={text} is not of type {kind.__name__}, as the field requires'
    ) from error


def plain(value: Any) -> Any:
  """Converts NumPy scalars to plain ones and lists to tuples, as in configs."""
  if hasattr(value, 'item') and not isinstance(value, str):
    value = value.item()
  return tuple(map(plain, value)) if isinstance(value, list | tuple) else value


def _name(base: Base, overrides: Overrides) -> str:
  """Returns the overrides as words and a hash, as in 'width0.5-1f3a9c02'."""
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
  """True if a search has to draw values of the sweep."""
  return any(
    isinstance(value, Interval | Choice)
    for run in sweep
    for value in run.values()
  )

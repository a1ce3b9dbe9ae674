"""Checks of single config fields: names, types, choices, ranges, intervals.

The valid names of a field are the keys of the dict that interprets it. Callers
pass these dicts.
"""

from collections.abc import Collection, Mapping
import difflib
import functools
from typing import Any

import ml_collections

from inception.config import default
from inception.config.compare import flatten
from inception.config.ranges import RANGES
from inception.errors import UserError

# Fields that have a default and may be unset.
_MAY_BE_NONE = frozenset(
  {
    'data.channel_order',
    'data.eval_transform',
    'data.image_size',
    'model.architecture',
    'model.batch_norm_decay',
    'model.batch_norm_epsilon',
    'model.batch_norm_scale',
    'model.head_pooling',
    'model.width',
  }
)


def check(
  config: ml_collections.ConfigDict, choices: Mapping[str, Collection[str]]
) -> None:
  """Checks every field of a config by itself.

  Args:
    config: A whole config.
    choices: Valid names of each field; unset fields are not checked.

  Raises:
    UserError: Names the invalid field, its value and the valid ones.
  """
  _check_fields(config)
  _check_choices(config, choices)
  check_ranges(config)


def _check_fields(config: ml_collections.ConfigDict) -> None:
  """Checks that a config has the fields of `default.get_config`, and no others.

  A config file that builds its own ConfigDict, or unlocks the default one,
  could misspell a field without an error.

  Raises:
    UserError: Names a field that is unknown, missing, unset, or of the wrong
      type.
  """
  given, known = flatten(config), flatten(default.get_config())
  for field in sorted(known.keys() ^ given.keys()):
    if field.startswith('provenance.'):
      continue  # Where imported weights come from; nothing reads it.
    if field in known:
      raise UserError(f'the config lacks the field {field}; {_START}')
    close = difflib.get_close_matches(field, known, 1)
    hint = f'did you mean {close[0]}?' if close else _START
    raise UserError(f'the config has an unknown field {field}; {hint}')
  check_types(config)


def check_types(config: ml_collections.ConfigDict) -> None:
  """Checks the types of a config's fields, of any version.

  Raises:
    UserError: Names a field that is unset, or of the wrong type.
  """
  known = flatten(default.get_config())
  for field, value in flatten(config).items():
    if field.startswith('provenance.'):
      continue
    wanted = type_of(field)
    required = known.get(field) is not None and field not in _MAY_BE_NONE
    if value is None and required:
      raise UserError(f'{field} is unset; set it, as in --config.{field}=...')
    if value is not None and not _is_a(value, wanted):
      raise UserError(
        f'{field}={value!r} is of type {type(value).__name__}; it must be'
        f' {wanted.__name__}'
      )


_START = 'start from inception.config.default.get_config()'


@functools.cache
def type_of(field: str) -> type:
  """Returns the type of a field, even if it is unset by default."""
  config = default.get_config()
  if field not in flatten(config):
    return str
  *sections, name = field.split('.')
  for part in sections:
    config = config[part]
  return config.get_oneway_ref(name).get_type()


def _is_a(value: Any, wanted: type) -> bool:
  if wanted is float:
    return isinstance(value, int | float) and not isinstance(value, bool)
  if wanted is tuple:
    return isinstance(value, tuple | list)
  return isinstance(value, wanted) and isinstance(value, bool) == (
    wanted is bool
  )


def _check_choices(
  config: ml_collections.ConfigDict, choices: Mapping[str, Collection[str]]
) -> None:
  fields = flatten(config)
  for field, names in choices.items():
    value = fields[field]
    if value is not None and value not in names:
      raise UserError(f'{field}={value!r} is not one of {", ".join(names)}')


def check_ranges(config: ml_collections.ConfigDict) -> None:
  """Checks every numeric field, and the class names.

  Raises:
    UserError: Names the field, its value and the valid values.
  """
  fields = flatten(config)
  for field, allowed in RANGES.items():
    value = fields[field]
    if value is not None and value not in allowed:
      raise UserError(f'{field}={value} is out of range; it must be {allowed}')
  _check_interval('data.crop_area', config.data.crop_area, 1e-4, 1.0)
  _check_interval('data.crop_aspect', config.data.crop_aspect, 0.01, 100.0)
  # Pixels are from 0 to 255.
  _check_channels('data.mean', config.data.mean, -1e4, 1e4)
  _check_channels('data.std', config.data.std, 1e-3, 1e4)
  _check_names(config.data.class_names)
  if config.data.background:
    _check_channels('data.background', config.data.background, 0, 255)


def _check_names(names: Any) -> None:
  if names is None:
    return
  if not all(isinstance(name, str) for name in names):
    raise UserError(f'data.class_names={names} must be strings')
  twice = [name for name in names if names.count(name) > 1]
  if twice:
    raise UserError(f'data.class_names lists {twice[0]!r} twice')


def _check_interval(
  name: str, value: Any, smallest: float, largest: float
) -> None:
  good = (
    len(value) == 2
    and all(isinstance(x, int | float) for x in value)
    and smallest <= value[0] <= value[1] <= largest
  )
  if not good:
    raise UserError(
      f'{name}={value} must be two numbers, {smallest} <= smallest <= largest'
      f" <= {largest}; try --config.{name}='(0.5, 1.0)'"
    )


def _check_channels(name: str, value: Any, low: float, high: float) -> None:
  if value is None:
    return
  numbers = [
    x for x in value if isinstance(x, int | float) and low <= x <= high
  ]
  if not len(value) == len(numbers) == 3:
    raise UserError(
      f'{name}={value} must be three numbers from {low} to {high}, one per'
      f" channel; try --config.{name}='(127, 127, 127)'"
    )

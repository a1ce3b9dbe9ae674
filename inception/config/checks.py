"""Checks of single config fields: choices, ranges, intervals.

Which names a field may take is known to the code that interprets it: callers
pass the dicts that hold them.
"""

from collections.abc import Collection, Mapping
import dataclasses
import math
from typing import Any

import ml_collections

from inception.config.compare import flatten
from inception.errors import UserError


@dataclasses.dataclass(frozen=True)
class _Range:
  """The numbers that a field may take; `low` and `high` may be excluded."""

  low: float = 0
  high: float = math.inf
  above_low: bool = False
  below_high: bool = False

  def __contains__(self, value: float) -> bool:
    return (
      math.isfinite(value)
      and (self.low < value if self.above_low else self.low <= value)
      and (value < self.high if self.below_high else value <= self.high)
    )

  def __str__(self) -> str:
    text = f'{"above" if self.above_low else "at least"} {self.low}'
    if self.high < math.inf:
      text += f' and {"below" if self.below_high else "at most"} {self.high}'
    return text


_POSITIVE = _Range(above_low=True)
_NOT_NEGATIVE = _Range()
_FRACTION = _Range(high=1, below_high=True)
_UP_TO_ONE = _Range(high=1)

_RANGES = {
  'seed': _Range(high=2**31 - 1),
  'batch_size': _POSITIVE,
  'num_epochs': _POSITIVE,
  'num_steps': _POSITIVE,
  'log_every_steps': _POSITIVE,
  'eval_every_epochs': _POSITIVE,
  'checkpoint_every_epochs': _POSITIVE,
  'keep_checkpoints': _POSITIVE,
  'model.width': _POSITIVE,
  'model.num_classes': _POSITIVE,
  'model.squeeze_excite': _POSITIVE,
  'model.dropout': _FRACTION,
  'model.batch_norm_decay': _FRACTION,
  'model.batch_norm_epsilon': _POSITIVE,
  'data.image_size': _POSITIVE,
  'data.cache_bytes': _NOT_NEGATIVE,
  'data.max_broken': _FRACTION,
  'data.color_jitter': _UP_TO_ONE,
  'data.random_erase_prob': _UP_TO_ONE,
  'data.mixup_alpha': _NOT_NEGATIVE,
  'data.cutmix_alpha': _NOT_NEGATIVE,
  'data.class_offset': _NOT_NEGATIVE,
  'data.crop_pct': _Range(high=1, above_low=True),
  'loss.label_smoothing': _FRACTION,
  'loss.aux_weight': _NOT_NEGATIVE,
  'optimizer.momentum': _FRACTION,
  'optimizer.rmsprop_decay': _FRACTION,
  'optimizer.rmsprop_epsilon': _POSITIVE,
  'optimizer.weight_decay': _NOT_NEGATIVE,
  'optimizer.clip_norm': _POSITIVE,
  'optimizer.ema_decay': _FRACTION,
  'schedule.base_learning_rate': _POSITIVE,
  'schedule.base_batch_size': _POSITIVE,
  'schedule.warmup_epochs': _NOT_NEGATIVE,
  'schedule.decay_rate': _POSITIVE,
  'schedule.decay_every_epochs': _POSITIVE,
}


def check_choices(
  config: ml_collections.ConfigDict, choices: Mapping[str, Collection[str]]
) -> None:
  """Checks fields that take a name from a fixed set.

  Args:
    config: A whole config.
    choices: The names that each field may take; unset fields are not checked.

  Raises:
    UserError: Names the field, its value and the names it may take.
  """
  fields = flatten(config)
  for field, names in choices.items():
    value = fields[field]
    if value is not None and value not in names:
      raise UserError(f'{field}={value!r} is not one of {", ".join(names)}')


def check_ranges(config: ml_collections.ConfigDict) -> None:
  """Checks every field that takes numbers.

  Raises:
    UserError: Names the field, its value and the values it may take.
  """
  fields = flatten(config)
  for field, allowed in _RANGES.items():
    value = fields[field]
    if value is not None and value not in allowed:
      raise UserError(f'{field}={value} is out of range; it must be {allowed}')
  _check_interval('data.crop_area', config.data.crop_area, 1.0)
  _check_interval('data.crop_aspect', config.data.crop_aspect, math.inf)
  _check_channels('data.mean', config.data.mean)
  _check_channels('data.std', config.data.std)


def _check_interval(name: str, value: Any, largest: float) -> None:
  good = len(value) == 2 and 0 < value[0] <= value[1] <= largest
  if not good:
    raise UserError(
      f'{name}={value} must be two numbers, 0 < smallest <= largest'
      + (f' <= {largest}' if largest < math.inf else '')
      + f"; try --config.{name}='(0.5, 1.0)'"
    )


def _check_channels(name: str, value: Any) -> None:
  if value is None:
    return
  numbers = [x for x in value if isinstance(x, (int, float))]
  good = len(value) == len(numbers) == 3 and all(map(math.isfinite, numbers))
  if not good or (name == 'data.std' and min(value) <= 0):
    raise UserError(
      f'{name}={value} must be three numbers, one per channel'
      + (', above 0' if name == 'data.std' else '')
      + f"; try --config.{name}='(127.5, 127.5, 127.5)'"
    )

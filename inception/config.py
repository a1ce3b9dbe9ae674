"""Configs as a whole: checking, comparing, writing and reading them."""

from collections.abc import Mapping
import json
import math
from typing import Any

import ml_collections

from inception import architectures
from inception.architectures import layers
from inception.errors import UserError

_CHOICES = {
  'precision': ('float32', 'bfloat16', 'float16'),
  'model.head_pooling': ('average', 'attention'),
  'model.initializer': ('he_normal', 'glorot_uniform', 'truncated_normal'),
  'data.channel_order': ('RGB', 'BGR'),
  'data.eval_resize': ('bilinear', 'bicubic', 'bilinear_tf1'),
  'data.eval_preset': (None, 'slim', 'torchvision', 'timm'),
  'optimizer.name': ('sgd', 'rmsprop'),
  'schedule.name': ('cosine', 'stairs', 'constant'),
}

# Field: (smallest, largest, whether the ends are excluded).
_POSITIVE = (0, math.inf, True)
_SHARE_BELOW_ONE = (0, math.nextafter(1, 0), False)
_RANGES = {
  'seed': (0, 2**31 - 1, False),
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
  'model.dropout': _SHARE_BELOW_ONE,
  'model.batch_norm_decay': _SHARE_BELOW_ONE,
  'model.batch_norm_epsilon': _POSITIVE,
  'data.image_size': _POSITIVE,
  'data.cache_bytes': (0, math.inf, False),
  'data.max_broken': _SHARE_BELOW_ONE,
  'data.color': (0, 1, False),
  'data.erase': (0, 1, False),
  'data.mixup': (0, math.inf, False),
  'data.cutmix': (0, math.inf, False),
  'data.class_offset': (0, math.inf, False),
  'data.eval_crop': (0, math.nextafter(1, 2), True),
  'loss.label_smoothing': _SHARE_BELOW_ONE,
  'loss.aux_weight': (0, math.inf, False),
  'optimizer.momentum': _SHARE_BELOW_ONE,
  'optimizer.rmsprop_decay': _SHARE_BELOW_ONE,
  'optimizer.rmsprop_epsilon': _POSITIVE,
  'optimizer.weight_decay': (0, math.inf, False),
  'optimizer.clip_norm': _POSITIVE,
  'optimizer.ema_decay': _SHARE_BELOW_ONE,
  'schedule.base_learning_rate': _POSITIVE,
  'schedule.base_batch_size': _POSITIVE,
  'schedule.warmup_epochs': (0, math.inf, False),
  'schedule.decay_rate': _POSITIVE,
  'schedule.decay_every_epochs': _POSITIVE,
}


def check(config: ml_collections.ConfigDict, device_count: int) -> None:
  """Checks a config as a whole, before anything is built.

  Args:
    config: a config with the fields of configs/default.py.
    device_count: devices that a batch is split over.

  Raises:
    UserError: names the field, its value and a value that works.
  """
  fields = flatten(config)
  for name, choices in _CHOICES.items():
    if fields[name] not in choices:
      raise UserError(
        f'{name}={fields[name]!r} is not one of {", ".join(map(str, choices))}'
      )
  for name, (low, high, open_ends) in _RANGES.items():
    _check_range(name, fields[name], low, high, open_ends)
  _check_interval('data.crop_area', config.data.crop_area, 1.0)
  _check_interval('data.crop_aspect', config.data.crop_aspect, math.inf)
  _check_channels('data.mean', config.data.mean)
  _check_channels('data.std', config.data.std)
  _check_batch_size(config.batch_size, device_count)
  _check_image_size(config)
  _check_freeze(config)


def flatten(config: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
  """Returns {'model.width': 1.0, ...} for a config of any depth."""
  fields = {}
  for name, value in config.items():
    if isinstance(value, (dict, ml_collections.ConfigDict)):
      fields.update(flatten(value, f'{prefix}{name}.'))
    else:
      fields[prefix + name] = value
  return fields


def to_json(config: ml_collections.ConfigDict) -> str:
  """Returns a config as JSON text; tuples become lists."""
  return config.to_json(indent=2)


def from_json(text: str) -> ml_collections.ConfigDict:
  """Returns the config that `to_json` wrote.

  Raises:
    ValueError: the text is not JSON.
  """
  return ml_collections.ConfigDict(json.loads(text)).lock()


def differences(
  old: ml_collections.ConfigDict, new: ml_collections.ConfigDict
) -> list[str]:
  """Returns 'field: old value, now new value' for every field that differs."""
  before = flatten(json.loads(to_json(old)))
  after = flatten(json.loads(to_json(new)))
  return [
    f'{name}: {before.get(name)!r}, now {after.get(name)!r}'
    for name in sorted(before | after)
    if before.get(name) != after.get(name)
  ]


def _check_range(
  name: str, value: float | None, low: float, high: float, open_ends: bool
) -> None:
  if value is None:
    return
  inside = low < value < high if open_ends else low <= value <= high
  inside = inside and math.isfinite(value)
  if not inside:
    bounds = f'above {low}' if open_ends else f'at least {low}'
    if high < math.inf:
      # The number below 1 stands for an open end.
      word = 'below' if high == math.nextafter(1, 0) else 'at most'
      bounds += f' and {word} {round(high)}'
    raise UserError(f'{name}={value} is out of range; it must be {bounds}')


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
      f'{name}={value} must be three numbers, one a channel'
      + (', above 0' if name == 'data.std' else '')
      + f"; try --config.{name}='(127.5, 127.5, 127.5)'"
    )


def _check_batch_size(batch_size: int, device_count: int) -> None:
  if batch_size % device_count == 0:
    return
  lower = batch_size - batch_size % device_count
  raise UserError(
    f'batch_size={batch_size} does not split over {device_count} devices;'
    f' try --config.batch_size={lower or device_count}'
  )


def _check_image_size(config: ml_collections.ConfigDict) -> None:
  table = architectures.get_architecture(config.model.architecture)
  size = config.data.image_size
  short_side = config.data.eval_short_side
  if short_side is not None and short_side < size:
    raise UserError(
      f'data.eval_short_side={short_side} is less than data.image_size={size};'
      f' set it to {round(size / 0.875)}'
    )
  try:
    layers.stage_shapes(table, size, size)
  except ValueError as error:
    raise UserError(
      f'data.image_size={size} is too small for'
      f' {config.model.architecture}: {error}; the smallest is'
      f' {layers.smallest_input(table)}'
    ) from error


def _check_freeze(config: ml_collections.ConfigDict) -> None:
  if config.freeze is None:
    return
  table = architectures.get_architecture(config.model.architecture)
  names = [stage.name for stage in table.stages]
  if config.freeze not in names:
    raise UserError(
      f'freeze={config.freeze!r} is no stage of {config.model.architecture};'
      f' its stages are {", ".join(names)}'
    )
  if config.pretrained is None:
    raise UserError(
      f'freeze={config.freeze!r} without pretrained would keep random weights;'
      ' set --config.pretrained=DIR'
    )

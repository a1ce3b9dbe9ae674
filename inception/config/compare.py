"""Configs as JSON text, and the differences between two of them."""

from collections.abc import Mapping
import json
from typing import Any

import ml_collections

from inception.config import upgrade


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
  """Returns the config that this or an older version wrote with `to_json`.

  Raises:
    ValueError: The text is not JSON, or not a config.
  """
  tree = json.loads(text)
  if not isinstance(tree, dict):
    raise ValueError('not a config')
  return ml_collections.ConfigDict(upgrade.upgrade(tree)).lock()


# Fields that do not affect the results: a resumed run may change them.
MAY_CHANGE = frozenset(
  {
    'checkpoint.on_full',
    'checkpoint_every_epochs',
    'checkpoint_every_minutes',
    'data.cache_bytes',
    'data.class_names',  # Matched by name.
    'data.data_dir',  # The data itself is compared.
    'data.on_change',
    'early_stopping_patience',
    'data.retry_seconds',
    'distributed.timeout_seconds',
    'keep_checkpoints',
    'model.remat',
    'tracker',
    'watchdog_minutes',
  }
)


def differences(
  old: ml_collections.ConfigDict, new: ml_collections.ConfigDict
) -> list[str]:
  """Returns 'field: old value, now new value' for fields that must not differ.

  All fields except those in `MAY_CHANGE` are compared.
  """
  before = flatten(json.loads(to_json(old)))
  after = flatten(json.loads(to_json(new)))
  return [
    f'{name}: {before.get(name)!r}, now {after.get(name)!r}'
    for name in sorted((before | after).keys() - MAY_CHANGE)
    if before.get(name) != after.get(name)
  ]

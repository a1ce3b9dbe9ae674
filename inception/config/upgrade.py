"""Translates configs of older versions into the fields of this version.

Checkpoints contain the config of their run. `CHANGES` translates renamed
fields, oldest version first; new fields take their defaults. CHANGELOG.md lists
the same changes for users.
"""

from collections.abc import Callable, Mapping
import json
from typing import Any

from inception.config import default

Fields = dict[str, Any]


def upgrade(config: Mapping[str, Any]) -> dict[str, Any]:
  """Returns a config with all fields of this version.

  Args:
    config: Nested dicts, as read from JSON.
  """
  tree = json.loads(json.dumps(config))
  for change in CHANGES.values():
    change(tree)
  return _with_defaults(tree, json.loads(default.get_config().to_json()))


def _rename_fields_0_2(config: Fields) -> None:
  _rename(config, 'freeze', 'freeze_through')
  data = config.get('data', {})
  _rename(data, 'color', 'color_jitter')
  _rename(data, 'erase', 'random_erase_prob')
  _rename(data, 'mixup', 'mixup_alpha')
  _rename(data, 'cutmix', 'cutmix_alpha')
  if 'eval_crop' in data:
    _eval_transform_0_2(data)
  schedule = config.get('schedule', {})
  if schedule.get('name') == 'stairs':
    schedule['name'] = 'staircase'


def _eval_transform_0_2(data: Fields) -> None:
  """Replaces five fields with the named transform that they describe."""
  preset = data.pop('eval_preset', None)
  short_side = data.pop('eval_short_side', None)
  antialias = data.pop('eval_antialias', False)
  interpolation = data.pop('eval_resize', 'bilinear')
  crop = data.pop('eval_crop')
  # The old default becomes unset, so that a resumed run has no difference.
  data['crop_pct'] = None if crop == 0.875 else crop
  if preset is not None:
    data['eval_transform'] = preset
    return
  names = {
    (False, False): 'inception',
    (False, True): 'inception_antialias',
    (True, False): 'torchvision_tensor',
    (True, True): 'torchvision',
  }
  data['eval_transform'] = names[short_side is not None, bool(antialias)]
  if interpolation != 'bilinear':
    data['interpolation'] = interpolation
  if short_side is not None:
    data['crop_pct'] = data['image_size'] / short_side


def _keep_pictures_0_4(config: Fields) -> None:
  """Keeps transparency and orientation ignored, as they were before 0.4."""
  config.get('data', {}).setdefault('background', [])
  config.get('data', {}).setdefault('exif_orientation', False)


# Translations of older configs, by the version that changed the fields.
CHANGES: dict[str, Callable[[Fields], None]] = {
  '0.2.0': _rename_fields_0_2,
  '0.4.0': _keep_pictures_0_4,
}


def _rename(section: Fields, old: str, new: str) -> None:
  if old in section:
    section[new] = section.pop(old)


def _with_defaults(tree: Fields, defaults: Fields) -> Fields:
  """Returns `tree` with missing fields added; unknown fields are kept."""
  merged = dict(tree)
  for name, value in defaults.items():
    if isinstance(value, dict) and isinstance(tree.get(name), dict):
      merged[name] = _with_defaults(tree[name], value)
    else:
      merged.setdefault(name, value)
  return merged

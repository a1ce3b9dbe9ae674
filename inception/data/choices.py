"""Allowed values of fields of `config.data`, for the config check."""

from collections.abc import Collection

from inception.data.pixels.eval_transforms import (
  CHANNEL_ORDERS,
  EVAL_TRANSFORMS,
  INTERPOLATIONS,
)

DATA_CHOICES: dict[str, Collection[str]] = {
  'data.channel_order': CHANNEL_ORDERS,
  'data.eval_transform': EVAL_TRANSFORMS,
  'data.interpolation': INTERPOLATIONS,
}

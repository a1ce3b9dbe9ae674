"""Names that fields of `config.data` may take, for the check of a config."""

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

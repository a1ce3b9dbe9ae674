"""Valid ranges of the numeric config fields."""

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Range:
  """A range of valid numbers; `low` and `high` may be excluded."""

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


_NOT_NEGATIVE = Range(high=1e6)
_POSITIVE = Range(high=1e6, above_low=True)
_COUNT = Range(1, 2**31 - 1)  # Fits in an int32.
_FRACTION = Range(high=1, below_high=True)
_UP_TO_ONE = Range(high=1)

# Upper bounds are far above useful values, but low enough not to hang or crash.
RANGES = {
  'seed': Range(high=2**31 - 1),
  'batch_size': Range(1, 2**20),
  'accumulation_steps': Range(1, 2**20),
  'num_epochs': _POSITIVE,
  'num_steps': _COUNT,
  'early_stopping_patience': _COUNT,
  'log_every_steps': _COUNT,
  'eval_every_epochs': _POSITIVE,
  'checkpoint_every_epochs': _POSITIVE,
  'checkpoint_every_minutes': _POSITIVE,
  'keep_checkpoints': _COUNT,
  'watchdog_minutes': _POSITIVE,
  'divergence.skip_updates': Range(high=2**31 - 1),
  'distributed.timeout_seconds': Range(5, 86_400),
  'model.width': Range(high=16, above_low=True),
  'model.num_classes': Range(high=2**20),  # 0: weights without a classifier.
  'model.squeeze_excite': Range(1, 2**20),
  'model.dropout': _FRACTION,
  'model.batch_norm_decay': _FRACTION,
  'model.batch_norm_epsilon': Range(1e-12, 1),
  'data.image_size': Range(1, 4096),
  'data.cache_bytes': Range(high=2**50),
  'data.retry_seconds': Range(high=600),
  'data.max_broken': _FRACTION,
  'data.color_jitter': _UP_TO_ONE,
  'data.random_erase_prob': _UP_TO_ONE,
  'data.mixup_alpha': Range(high=1000),
  'data.cutmix_alpha': Range(high=1000),
  'data.class_offset': Range(high=1000),
  'data.crop_pct': Range(0.1, 1),
  'loss.label_smoothing': _FRACTION,
  'loss.aux_weight': _NOT_NEGATIVE,
  'optimizer.momentum': _FRACTION,
  'optimizer.rmsprop_decay': _FRACTION,
  'optimizer.rmsprop_epsilon': Range(1e-12, 1e6),
  'optimizer.trunk_learning_rate': Range(high=1000),
  'optimizer.weight_decay': _NOT_NEGATIVE,
  'optimizer.clip_norm': _POSITIVE,
  'optimizer.ema_decay': _FRACTION,
  'schedule.base_learning_rate': _POSITIVE,
  'schedule.base_batch_size': Range(1, 2**20),
  'schedule.warmup_epochs': _NOT_NEGATIVE,
  'schedule.decay_rate': Range(high=1000, above_low=True),
  'schedule.decay_every_epochs': _POSITIVE,
}

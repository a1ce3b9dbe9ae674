"""The default config of training, a small demo; see configs/digits.py."""

import ml_collections

from inception.config import default


def get_config() -> ml_collections.ConfigDict:
  """Returns the config of the demo, which downloads nothing."""
  config = default.get_config()
  config.batch_size = 64
  config.num_epochs = 20.0
  config.model.width = 0.25
  config.model.batch_norm_decay = 0.9
  config.model.dropout = 0.2
  config.data.dataset = 'digits'
  config.data.eval_split = 'test'
  # 8 x 8 pixels, upscaled: the network downsamples by a factor of 32.
  config.data.image_size = 48
  # Half a digit may look like another digit, and a mirrored one is not a digit.
  config.data.crop_area = (0.6, 1.0)
  config.data.flip = False
  config.data.crop_pct = 1.0
  config.optimizer.nesterov = True
  config.optimizer.ema_decay = 0.99
  config.schedule.base_learning_rate = 0.4
  config.schedule.warmup_epochs = 2.0
  config.log_every_steps = 20
  config.eval_every_epochs = 4.0
  config.checkpoint_every_epochs = 4.0
  return config

"""Fine-tunes pretrained weights on a few hundred of your own pictures.

Run:     python train.py --config=configs/finetune.py --workdir=runs/mine
           --config.pretrained=weights/v3 --config.data.data_dir=pictures
Needs:   Pictures in <split>/<class>/ with the splits 'train' and 'val'; weights
         written by `python -m inception.pretrained`, or the workdir of a run.
         Takes minutes to hours without an accelerator.
Expect:  Not yet measured with published weights.
"""

import ml_collections
from ml_collections.config_dict import placeholder

from inception.config import default


def get_config() -> ml_collections.ConfigDict:
  """Returns the config; network and preprocessing are those of the weights."""
  config = default.get_config()
  # Placeholders are unset, but can be set on the command line.
  config.model.architecture = placeholder(str)
  config.model.width = placeholder(float)
  config.model.head_pooling = placeholder(str)
  config.model.batch_norm_scale = placeholder(bool)
  config.model.batch_norm_epsilon = placeholder(float)
  config.data.image_size = placeholder(int)
  config.data.eval_transform = placeholder(str)
  config.data.channel_order = placeholder(str)
  config.data.dataset = 'folder'
  config.data.eval_split = 'val'
  config.batch_size = 32
  config.num_epochs = 20.0
  config.eval_every_epochs = 1.0
  config.checkpoint_every_epochs = 1.0
  config.early_stopping_patience = 6
  config.log_every_steps = 10
  # The usual smallest crop, 8 % of a picture, often misses the subject; a
  # million pictures make up for that, a few hundred do not.
  config.data.crop_area = (0.35, 1.0)
  # Unset: fast enough to forget the old data's statistics within the run.
  config.model.batch_norm_decay = placeholder(float)
  config.model.aux_heads = False
  config.loss.class_weights = 'balanced'
  # The new classifier learns fast; the stages below it only adapt.
  config.schedule.base_learning_rate = 0.02
  config.schedule.base_batch_size = 32
  config.schedule.warmup_epochs = 1.0
  config.optimizer.trunk_learning_rate = 0.1
  config.optimizer.nesterov = True
  return config

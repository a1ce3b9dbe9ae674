"""Inception-v3 on ImageNet, 299 x 299.

Run:     python train.py --config=configs/inception_v3.py --workdir=runs/v3
         python train.py --config=configs/inception_v3.py:paper --workdir=...
Needs:   ImageNet prepared by TFDS, and accelerators. Not yet run on either.
Expect:  Top-1 not yet measured here. Elsewhere: 78.8 % in the paper, one crop;
         78.77 % in GluonCV, whose recipe the modern one follows.
"""

import ml_collections

from inception.config import default
from inception.errors import lookup


def get_config(recipe: str = 'modern') -> ml_collections.ConfigDict:
  """Returns the config of a recipe in `RECIPES`."""
  config = default.get_config()
  config.model.architecture = 'inception_v3'
  config.data.image_size = 299
  # As in all TensorFlow releases; GoogLeNet's is 0.3.
  config.loss.aux_weight = 0.4
  lookup(RECIPES, recipe, 'recipe')(config)
  return config


def modern(config: ml_collections.ConfigDict) -> None:
  """SGD with a cosine schedule, label smoothing and mixup, for 200 epochs.

  Close to GluonCV's recipe, which reached 78.77 % with Inception-v3 and no
  auxiliary head. Nesterov momentum is ours.
  """
  config.batch_size = 1024
  config.num_epochs = 200.0
  config.data.mixup_alpha = 0.2
  config.loss.label_smoothing = 0.1
  config.optimizer.name = 'sgd'
  config.optimizer.momentum = 0.9
  config.optimizer.nesterov = True
  config.optimizer.weight_decay = 1e-4
  config.schedule.name = 'cosine'
  config.schedule.base_learning_rate = 0.1
  config.schedule.base_batch_size = 256
  config.schedule.warmup_epochs = 5.0


def paper(config: ml_collections.ConfigDict) -> None:
  """RMSProp with a staircase schedule, clipping and a moving average.

  Sections 7 and 8; weight decay and the average's decay are those of the
  released code. One synchronous batch replaces the asynchronous replicas.
  """
  config.batch_size = 1600  # 50 replicas of 32 images.
  config.num_epochs = 100.0
  config.loss.label_smoothing = 0.1
  # As in the released code; the statistics need about 50,000 steps.
  config.model.batch_norm_decay = 0.9997
  config.optimizer.name = 'rmsprop'
  config.optimizer.momentum = 0.9
  config.optimizer.rmsprop_decay = 0.9
  config.optimizer.rmsprop_epsilon = 1.0
  config.optimizer.weight_decay = 4e-5
  config.optimizer.clip_norm = 2.0
  config.optimizer.ema_decay = 0.9999
  config.schedule.name = 'staircase'
  config.schedule.base_learning_rate = 0.045
  config.schedule.base_batch_size = 1600
  config.schedule.warmup_epochs = 0.0
  config.schedule.decay_rate = 0.94
  config.schedule.decay_every_epochs = 2.0


RECIPES = {'modern': modern, 'paper': paper}

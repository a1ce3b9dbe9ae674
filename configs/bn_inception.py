"""BN-Inception on ImageNet, 224 x 224.

Run:     python train.py --config=configs/bn_inception.py --workdir=runs/bn
         python train.py --config=configs/bn_inception.py:paper --workdir=...
Needs:   ImageNet prepared by TFDS, and accelerators. Not yet run on either.
Expect:  Top-1 not yet measured here. Elsewhere: 74.8 % (paper, BN-x30).
"""

import ml_collections

from inception.config import default
from inception.errors import lookup


def get_config(recipe: str = 'modern') -> ml_collections.ConfigDict:
  """Returns the config of a recipe in `RECIPES`."""
  config = default.get_config()
  config.model.architecture = 'bn_inception'
  lookup(RECIPES, recipe, 'recipe')(config)
  return config


def modern(config: ml_collections.ConfigDict) -> None:
  """SGD with a cosine schedule, label smoothing and mixup, for 200 epochs.

  The recipe of configs/inception_v3.py, close to GluonCV's for Inception-v3.
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
  """BN-x30, sections 4.2.1 and 4.2.2: 30 times Inception's learning rate.

  The rate decays six times as fast, weight decay is a fifth, and there is no
  dropout.
  """
  config.batch_size = 32
  config.num_epochs = 150.0  # 6 million steps of 32 images.
  config.loss.label_smoothing = 0.0
  config.optimizer.name = 'sgd'
  config.optimizer.momentum = 0.9
  config.optimizer.weight_decay = 4e-5
  config.schedule.name = 'staircase'
  config.schedule.base_learning_rate = 0.045
  config.schedule.base_batch_size = 32
  config.schedule.warmup_epochs = 0.0
  config.schedule.decay_rate = 0.96
  config.schedule.decay_every_epochs = 8 / 6


RECIPES = {'modern': modern, 'paper': paper}

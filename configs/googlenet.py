"""GoogLeNet on ImageNet, 224 x 224: with batch norm, or as in the paper.

Run:     python train.py --config=configs/googlenet.py --workdir=runs/googlenet
         python train.py --config=configs/googlenet.py:paper --workdir=...
Needs:   ImageNet prepared by TFDS, and accelerators. Not yet run on either.
Expect:  Top-1 not yet measured here. Elsewhere: 68.7 % for the paper's network
         (released with Caffe), 72.87 % with batch norm and mixup (GluonCV).
"""

import ml_collections

from inception.config import default
from inception.errors import lookup


def get_config(recipe: str = 'modern') -> ml_collections.ConfigDict:
  """Returns the config of a recipe in `RECIPES`."""
  config = default.get_config()
  lookup(RECIPES, recipe, 'recipe')(config)
  return config


def modern(config: ml_collections.ConfigDict) -> None:
  """SGD with a cosine schedule, label smoothing and mixup, for 200 epochs.

  With batch norm. The recipe of configs/inception_v3.py, close to GluonCV's.
  """
  config.model.architecture = 'inception_v1'
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
  """Without batch norm; sections 5 and 6.

  The paper gives neither learning rate nor batch size; 0.01 for 32 images is
  from the Caffe release.
  """
  config.model.architecture = 'googlenet'
  config.batch_size = 32
  config.num_epochs = 250.0
  config.loss.label_smoothing = 0.0
  config.loss.aux_weight = 0.3
  config.optimizer.name = 'sgd'
  config.optimizer.momentum = 0.9
  config.optimizer.weight_decay = 2e-4
  config.optimizer.ema_decay = 0.9999  # Polyak averaging.
  config.schedule.name = 'staircase'
  config.schedule.base_learning_rate = 0.01
  config.schedule.base_batch_size = 32
  config.schedule.warmup_epochs = 0.0
  config.schedule.decay_rate = 0.96
  config.schedule.decay_every_epochs = 8.0


RECIPES = {'modern': modern, 'paper': paper}

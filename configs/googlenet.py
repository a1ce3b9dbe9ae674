"""GoogLeNet on ImageNet, 224 x 224: with batch norm, or as in the paper.

Run:     python train.py --config=configs/googlenet.py --workdir=runs/googlenet
         python train.py --config=configs/googlenet.py:paper --workdir=...
Needs:   ImageNet prepared by TFDS; accelerators. Not yet run on either.
Expect:  top-1 not yet measured here. Elsewhere: 68.7 % for the paper's network
         (released with Caffe), 72.87 % with batch norm and mixup (GluonCV).

The paper gives no learning rate and no batch size; 0.01 for 32 images is that
of the release with Caffe.
"""

import ml_collections

from configs import recipes


def get_config(recipe: str = 'modern') -> ml_collections.ConfigDict:
  """Returns the config; `recipe` is 'modern' or 'paper'."""
  return recipes.choose(recipe, {'modern': _modern, 'paper': _paper})


def _modern(config: ml_collections.ConfigDict) -> None:
  recipes.modern(config)
  config.model.architecture = 'inception_v1'


def _paper(config: ml_collections.ConfigDict) -> None:
  """Without batch norm; sections 5 and 6."""
  config.model.architecture = 'googlenet'
  config.batch_size = 32
  config.num_epochs = 250.0
  config.loss.label_smoothing = 0.0
  config.loss.aux_weight = 0.3
  config.optimizer.momentum = 0.9
  config.optimizer.weight_decay = 2e-4
  # Polyak averaging.
  config.optimizer.ema_decay = 0.9999
  config.schedule.name = 'stairs'
  config.schedule.base_learning_rate = 0.01
  config.schedule.base_batch_size = 32
  config.schedule.warmup_epochs = 0.0
  config.schedule.decay_rate = 0.96
  config.schedule.decay_every_epochs = 8.0

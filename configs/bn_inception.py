"""BN-Inception on ImageNet, 224 x 224.

Run:     python train.py --config=configs/bn_inception.py --workdir=runs/bn
         python train.py --config=configs/bn_inception.py:paper --workdir=...
Needs:   ImageNet prepared by TFDS; accelerators. Not yet run on either.
Expect:  top-1 not yet measured here. Elsewhere: 74.8 % (paper, BN-x30).
"""

import ml_collections

from configs import recipes


def get_config(recipe: str = 'modern') -> ml_collections.ConfigDict:
  """Returns the config; `recipe` is 'modern' or 'paper'."""
  return recipes.choose(recipe, {'modern': _modern, 'paper': _paper})


def _modern(config: ml_collections.ConfigDict) -> None:
  recipes.modern(config)
  config.model.architecture = 'bn_inception'


def _paper(config: ml_collections.ConfigDict) -> None:
  """BN-x30, sections 4.2.1 and 4.2.2: 30 times Inception's learning rate.

  It decays six times as fast, weight decay is a fifth, there is no dropout.
  """
  config.model.architecture = 'bn_inception'
  config.batch_size = 32
  # 6 million steps of 32.
  config.num_epochs = 150.0
  config.loss.label_smoothing = 0.0
  config.optimizer.momentum = 0.9
  config.optimizer.weight_decay = 4e-5
  config.schedule.name = 'stairs'
  config.schedule.base_learning_rate = 0.045
  config.schedule.base_batch_size = 32
  config.schedule.warmup_epochs = 0.0
  config.schedule.decay_rate = 0.96
  config.schedule.decay_every_epochs = 8 / 6

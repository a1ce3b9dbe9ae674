"""Inception-ResNet-v1 on ImageNet, 299 x 299.

Run:     python train.py --workdir=runs/ir1 --config=FILE, where FILE is
         configs/inception_resnet_v1.py or configs/inception_resnet_v1.py:paper
Needs:   ImageNet prepared by TFDS; accelerators. Not yet run on either.
Expect:  top-1 not yet measured here. Elsewhere: 78.7 % in the paper, one crop.
"""

import ml_collections

from configs import recipes


def get_config(recipe: str = 'modern') -> ml_collections.ConfigDict:
  """Returns the config; `recipe` is 'modern' or 'paper'."""
  return recipes.choose(recipe, {'modern': _modern, 'paper': _paper})


def _modern(config: ml_collections.ConfigDict) -> None:
  recipes.modern(config)
  _network(config)


def _paper(config: ml_collections.ConfigDict) -> None:
  """Section 4."""
  recipes.rmsprop(config)
  _network(config)
  config.num_epochs = 160.0
  # 20 replicas of 32 images, here in one synchronous step.
  config.batch_size = 20 * 32
  config.schedule.base_batch_size = 20 * 32


def _network(config: ml_collections.ConfigDict) -> None:
  config.model.architecture = 'inception_resnet_v1'
  config.data.image_size = 299

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
  return recipes.at_299(
    recipe, 'inception_resnet_v1', paper_epochs=160.0, paper_replicas=20
  )

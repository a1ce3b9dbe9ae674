"""Inception-ResNet-v2 on ImageNet, 299 x 299.

Run:     python train.py --workdir=runs/ir2 --config=FILE, where FILE is
         configs/inception_resnet_v2.py or configs/inception_resnet_v2.py:paper
Needs:   ImageNet prepared by TFDS; accelerators. Not yet run on either.
Expect:  top-1 not yet measured here. Elsewhere: 80.1 % in the paper, one crop.
"""

import ml_collections

from configs import recipes


def get_config(recipe: str = 'modern') -> ml_collections.ConfigDict:
  """Returns the config; `recipe` is 'modern' or 'paper'."""
  return recipes.at_299(
    recipe, 'inception_resnet_v2', paper_epochs=160.0, paper_replicas=20
  )

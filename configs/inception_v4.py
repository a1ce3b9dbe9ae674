"""Inception-v4 on ImageNet, 299 x 299.

Run:     python train.py --config=configs/inception_v4.py --workdir=runs/v4
         python train.py --config=configs/inception_v4.py:paper --workdir=...
Needs:   ImageNet prepared by TFDS; accelerators. Not yet run on either.
Expect:  top-1 not yet measured here. Elsewhere: 80.0 % in the paper, one crop;
         80.77 % in PaddleClas, whose recipe is like the modern one.
"""

import ml_collections

from configs import recipes


def get_config(recipe: str = 'modern') -> ml_collections.ConfigDict:
  """Returns the config; `recipe` is 'modern' or 'paper'."""
  return recipes.at_299(
    recipe, 'inception_v4', paper_epochs=160.0, paper_replicas=20
  )

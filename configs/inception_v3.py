"""Inception-v3 on ImageNet, 299 x 299.

Run:     python train.py --config=configs/inception_v3.py --workdir=runs/v3
         python train.py --config=configs/inception_v3.py:paper --workdir=...
Needs:   ImageNet prepared by TFDS; accelerators. Not yet run on either.
Expect:  top-1 not yet measured here. Elsewhere: 78.8 % in the paper, one crop;
         78.77 % in GluonCV, whose recipe the modern one follows.
"""

import ml_collections

from configs import recipes


def get_config(recipe: str = 'modern') -> ml_collections.ConfigDict:
  """Returns the config; `recipe` is 'modern' or 'paper'."""
  return recipes.at_299(
    recipe, 'inception_v3', paper_epochs=100.0, paper_replicas=50
  )

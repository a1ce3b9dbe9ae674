"""A small network and its run, which compiles in seconds.

Also a config file: python -m tests.worker train --config=tests/tiny.py.
"""

from ml_collections import ConfigDict

from configs import digits
from inception import architectures
from inception.spec.vocabulary import (
  Architecture,
  AuxHead,
  AvgPool,
  Chain,
  Concat,
  Conv,
  MaxPool,
  Stage,
)

# It has every part of a real network.
TINY = Architecture(
  input_size=16,
  stages=(
    Stage('Conv2d_1a_3x3', Conv(8, 3, stride=2)),
    Stage('Mixed_2b', Concat(Conv(8), Chain(MaxPool(3), Conv(8, 3)))),
  ),
  dropout=0.2,
  aux_heads=(
    AuxHead(
      'AuxLogits_2b',
      'Mixed_2b',
      Chain(AvgPool(5, stride=3, padding='VALID'), Conv(8)),
      hidden=8,
      dropout=0.5,
    ),
  ),
)

# For programs that only one test runs.
TINIEST = Architecture(
  input_size=16,
  stages=(Stage('Conv2d_1a_3x3', Conv(8, 3, stride=2)),),
  dropout=0.2,
  aux_heads=(AuxHead('AuxLogits_2b', 'Conv2d_1a_3x3', Chain(), dropout=0.5),),
)

_TABLES = {'tiny': TINY, 'tiniest': TINIEST}
architectures.ARCHITECTURES |= _TABLES
NAMES = frozenset(_TABLES)


def get_config() -> ConfigDict:
  """A run of the tiny network on digits: 16 images per step, 6 steps."""
  config = digits.get_config()
  config.model.architecture = 'tiny'
  config.model.width = 1.0
  config.data.image_size = 16
  config.batch_size = 16
  config.num_steps = 6
  # Short, because tests shorten the run.
  config.schedule.warmup_epochs = 0.01
  config.data.eval_split = 'test[:40]'
  config.log_every_steps = 2
  config.eval_every_epochs = 1000.0
  config.checkpoint_every_epochs = 1000.0
  return config

"""Recipes that network families share: today's, and that of the papers.

Every config takes one of the two names behind its file:
--config=configs/inception_v3.py:paper. Without, it is the modern one.
"""

from collections.abc import Callable

import ml_collections

from configs import default
from inception.errors import UserError

Recipe = Callable[[ml_collections.ConfigDict], None]


def choose(name: str, recipes: dict[str, Recipe]) -> ml_collections.ConfigDict:
  """Returns the default config with a recipe applied.

  Args:
    name: of the recipe.
    recipes: by name.

  Raises:
    UserError: there is no such recipe; lists those that there are.
  """
  if name not in recipes:
    raise UserError(
      f'no recipe {name!r} in this config; it has {", ".join(recipes)}'
    )
  config = default.get_config()
  recipes[name](config)
  return config


def modern(config: ml_collections.ConfigDict) -> None:
  """Sets SGD with a cosine, label smoothing and mixup, for 200 epochs.

  After the recipes that reached the best accuracies of Inception networks with
  plain training: GluonCV's (v3: 78.77 %, without auxiliary head) and that of
  PaddleClas (v4: 80.77 %, with a learning rate of 0.045 for 64 images).
  Nesterov's momentum is ours.
  """
  config.batch_size = 1024
  config.num_epochs = 200.0
  config.data.mixup = 0.2
  config.loss.label_smoothing = 0.1
  config.optimizer.name = 'sgd'
  config.optimizer.momentum = 0.9
  config.optimizer.nesterov = True
  config.optimizer.weight_decay = 1e-4
  config.schedule.name = 'cosine'
  config.schedule.base_learning_rate = 0.1
  config.schedule.base_batch_size = 256
  config.schedule.warmup_epochs = 5.0


def rmsprop(config: ml_collections.ConfigDict) -> None:
  """Sets RMSProp with stairs, clipping and a moving average.

  Inception-v3 paper, sections 7 and 8, which the paper of Inception-v4 follows;
  weight decay and the average's decay are those of the released code. Batch
  statistics move as slowly as in that code: they need some 50,000 steps.
  """
  config.loss.label_smoothing = 0.1
  config.model.batch_norm_decay = 0.9997
  config.optimizer.name = 'rmsprop'
  config.optimizer.momentum = 0.9
  config.optimizer.rmsprop_decay = 0.9
  config.optimizer.rmsprop_epsilon = 1.0
  config.optimizer.weight_decay = 4e-5
  config.optimizer.clip_norm = 2.0
  config.optimizer.ema_decay = 0.9999
  config.schedule.name = 'stairs'
  config.schedule.base_learning_rate = 0.045
  config.schedule.warmup_epochs = 0.0
  config.schedule.decay_rate = 0.94
  config.schedule.decay_every_epochs = 2.0


def at_299(
  name: str, architecture: str, paper_epochs: float, paper_replicas: int
) -> ml_collections.ConfigDict:
  """Returns the config of a family whose paper trained with `rmsprop`.

  Args:
    name: 'modern' or 'paper'.
    architecture: name of the network, for images of 299 x 299.
    paper_epochs: length of training in the paper.
    paper_replicas: of 32 images each in the paper, one synchronous step here.

  Raises:
    UserError: there is no such recipe.
  """

  def paper(config: ml_collections.ConfigDict) -> None:
    rmsprop(config)
    config.num_epochs = paper_epochs
    config.batch_size = paper_replicas * 32
    config.schedule.base_batch_size = paper_replicas * 32

  config = choose(name, {'modern': modern, 'paper': paper})
  config.model.architecture = architecture
  config.data.image_size = 299
  # As in all of TensorFlow's code; 0.3 belongs to GoogLeNet.
  config.loss.aux_weight = 0.4
  return config

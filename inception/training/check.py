"""Checks a whole config, before anything is built."""

from collections.abc import Collection, Sequence

import jax
import ml_collections

from inception.config import checks
from inception.data.choices import DATA_CHOICES
from inception.errors import UserError
from inception.modules.activations import ACTIVATIONS
from inception.modules.heads import HEAD_POOLINGS
from inception.modules.options import INITIALIZERS, PRECISIONS
from inception.observing.trackers import TRACKERS
from inception.processes import distributed
from inception.training import limits
from inception.training.recipe.losses import CLASS_WEIGHTS
from inception.training.recipe.optimizer import OPTIMIZERS
from inception.training.recipe.schedule import SCHEDULES
from inception.training.record import ON_CHANGE
from inception.training.saving import ON_FULL

# The names that a field may take are the keys of the dict that interprets it.
CHOICES: dict[str, Collection[str]] = {
  'precision': PRECISIONS,
  'loss.class_weights': CLASS_WEIGHTS,
  'model.activation': ACTIVATIONS,
  'model.head_pooling': HEAD_POOLINGS,
  'model.initializer': INITIALIZERS,
  'optimizer.name': OPTIMIZERS,
  'schedule.name': SCHEDULES,
  'tracker': TRACKERS,
  'checkpoint.on_full': ON_FULL,
  'data.on_change': ON_CHANGE,
  **DATA_CHOICES,
}


def check(config: ml_collections.ConfigDict) -> None:
  """Runs the checks of a config that need neither devices nor data.

  Raises:
    UserError: Names the field, its value and a value that works.
  """
  checks.check(config, CHOICES)
  limits.check_network(config)


def check_run(
  config: ml_collections.ConfigDict,
  devices: Sequence[jax.Device],
  resumed: bool = False,
) -> None:
  """Checks a config as a whole, before anything is built.

  Args:
    config: A config with the fields of inception/config/default.py.
    devices: Devices of all processes; a batch is split over them.
    resumed: True for a resumed run; see `limits.check_batch_norm`.

  Raises:
    UserError: Names the field, its value and a value that works.
  """
  check(config)
  if config.model.activation != 'softmax':
    raise UserError(
      f'model.activation={config.model.activation} is only for evaluating'
      ' imported weights; set --config.model.activation=softmax to train'
    )
  limits.check_sizes(config, devices)
  limits.check_batch_norm(config, len(devices), resumed)
  if config.num_steps is None:
    warn_of_warmup(config, config.num_epochs)


def warn_of_warmup(config: ml_collections.ConfigDict, epochs: float) -> None:
  """Warns if a run ends before its learning rate reaches its peak."""
  warmup = config.schedule.warmup_epochs
  if warmup > epochs:
    distributed.warn(
      f'schedule.warmup_epochs={warmup:g} is longer than the run ({epochs:.3g}'
      ' epochs), so the learning rate never reaches its peak; try'
      f' --config.schedule.warmup_epochs={epochs / 10:.2g}'
    )

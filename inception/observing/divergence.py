"""Losses and parameters that are not finite, and their likely causes."""

from collections.abc import Mapping
from typing import Any

import ml_collections
import numpy as np

from inception.errors import UserError


def check_finite(
  flat: Mapping[str, Any], config: ml_collections.ConfigDict
) -> None:
  """Checks the arrays of a state before they are saved.

  Args:
    flat: Host arrays by name, with `step`.
    config: The whole config.

  Raises:
    UserError: An array is not finite; names the first.
  """
  for name, array in flat.items():
    if not np.all(np.isfinite(array)):
      raise UserError(
        f'{name} is not finite at step {int(flat["step"])};'
        f' {likely_causes(config)}'
      )


def likely_causes(config: ml_collections.ConfigDict) -> str:
  """Returns the fields to check first, as the end of a message."""
  schedule, optimizer = config.schedule, config.optimizer
  peak = (
    schedule.base_learning_rate * config.batch_size / schedule.base_batch_size
  )
  causes = [
    f'schedule.base_learning_rate={schedule.base_learning_rate:g} (at'
    f' batch_size={config.batch_size} it peaks at {peak:g})'
  ]
  if optimizer.clip_norm is None:
    causes.append('optimizer.clip_norm is unset')
  if config.precision != 'float32':
    causes.append(f'precision={config.precision}')
  if optimizer.name == 'rmsprop' and optimizer.rmsprop_epsilon < 1e-3:
    causes.append(f'optimizer.rmsprop_epsilon={optimizer.rmsprop_epsilon:g}')
  if optimizer.weight_decay > 0.01:
    causes.append(f'optimizer.weight_decay={optimizer.weight_decay:g}')
  if config.loss.aux_weight > 1:
    causes.append(f'loss.aux_weight={config.loss.aux_weight:g}')
  if schedule.decay_rate > 1 and schedule.name == 'staircase':
    causes.append(f'schedule.decay_rate={schedule.decay_rate:g}')
  if config.data.std is not None and min(config.data.std) < 10:
    causes.append(f'data.std={tuple(config.data.std)}')
  return (
    f'likely causes: {", ".join(causes)}. Earlier checkpoints are kept; start'
    ' in a new workdir, or set divergence.skip_updates'
  )

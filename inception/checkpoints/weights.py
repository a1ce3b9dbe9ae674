"""Writes a checkpoint of weights from elsewhere, such as imported ones."""

from typing import Any

import ml_collections

from inception import paths
from inception.checkpoints import arrays
from inception.checkpoints.lock import WorkdirLock
from inception.checkpoints.store import Checkpoints
from inception.errors import UserError


def check_new(output: paths.Path) -> None:
  """Checks that weights can be written to a folder.

  Raises:
    UserError: It already has a checkpoint, or an unusable name.
  """
  paths.check_name(output)
  if Checkpoints(output).steps():
    raise UserError(
      f'{output} already has a checkpoint; choose another --output'
    )


def write(
  output: paths.Path,
  variables: dict[str, Any],
  config: ml_collections.ConfigDict,
  step: int = 0,
) -> None:
  """Writes the only checkpoint of a folder.

  Args:
    output: The folder.
    variables: {'params', 'batch_stats', ...} of the network.
    config: Its config, with `model.num_classes` set.
    step: Training steps taken; 0 for imported weights.

  Raises:
    UserError: The folder already has a checkpoint, or cannot be written.
  """
  with WorkdirLock(output) as lock:
    check_new(output)
    lock.make_workdir()
    with Checkpoints(output, keep=1) as checkpoints:
      checkpoints.save(arrays.flatten({'step': step, **variables}), config)
      checkpoints.wait()

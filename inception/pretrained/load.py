"""Networks from checkpoints, imported or trained here."""

from collections.abc import Sequence
import dataclasses
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections

from inception.checkpoints import Checkpoints
from inception.errors import UserError
from inception.modules.network import Inception, Outputs, create_model

Array = jax.Array


@dataclasses.dataclass(frozen=True)
class Loaded:
  """The variables of a checkpoint for evaluation.

  Attributes:
    step: of training; 0 for imported weights.
    variables: {'params', 'batch_stats'}, the moving average where there is one.
    config: of the run, or of the import.
  """

  step: int
  variables: dict[str, Any]
  config: ml_collections.ConfigDict


@dataclasses.dataclass(frozen=True)
class Network:
  """A network with its weights and the images that they expect.

  Attributes:
    model: the Flax module.
    variables: {'params', 'batch_stats'}.
    config: of the run, or of the import.
  """

  model: Inception
  variables: dict[str, Any]
  config: ml_collections.ConfigDict

  def __call__(self, images: Array, *, endpoints: bool = False) -> Outputs:
    """Classifies images as `read` returns them; see `Inception.__call__`."""
    return self.model.apply(self.variables, images, endpoints=endpoints)  # type: ignore[return-value]

  def read(self, paths: Sequence[str | pathlib.Path]) -> Array:
    """Reads image files as the weights expect them.

    Args:
      paths: of JPEG, PNG, GIF or BMP files.

    Returns:
      float32 [len(paths), height, width, 3].

    Raises:
      UserError: a file cannot be read.
    """
    from inception.data import device, images

    read = [images.load_image(str(path), self.config.data) for path in paths]
    return device.normalize(jnp.stack(read), self.config.data)


def load_pretrained(
  folder: str | pathlib.Path, step: str = 'latest', precision: str = 'float32'
) -> Network:
  """Loads a network from a folder with checkpoints.

  Args:
    folder: that `python -m inception.pretrained` wrote, or a run's workdir.
    step: a number, 'best' (by top-1 in training) or 'latest'.
    precision: arithmetic, see `create_model`.

  Raises:
    UserError: there is no such checkpoint, or it is damaged.
  """
  loaded = load_variables(pathlib.Path(folder), step)
  model = create_model(loaded.config.model, precision)
  variables = jax.tree.map(jnp.asarray, loaded.variables)
  return Network(model, variables, loaded.config)


def load_variables(folder: pathlib.Path, step: str = 'latest') -> Loaded:
  """Reads what evaluation uses of a checkpoint.

  Args and errors are those of `load_pretrained`.
  """
  checkpoints = Checkpoints(folder)
  try:
    chosen = choose_step(checkpoints, step)
    tree, config = checkpoints.load(chosen)
  finally:
    checkpoints.close()
  averaged = tree.get('ema') or tree
  variables = {
    'params': averaged['params'],
    'batch_stats': averaged.get('batch_stats', {}),
  }
  return Loaded(chosen, variables, config)


def choose_step(checkpoints: Checkpoints, wanted: str) -> int:
  """Returns the step that 'best', 'latest' or a number stands for.

  Raises:
    UserError: there is none; lists the steps that there are.
  """
  steps = checkpoints.steps()
  if not steps:
    raise UserError(
      f'no checkpoints in {checkpoints.folder}; train first, or name the'
      ' workdir of a run'
    )
  known = ', '.join(map(str, steps))
  if wanted == 'latest':
    return steps[-1]
  if wanted == 'best':
    best = checkpoints.best_step()
    if best is None:
      raise UserError(
        f'no checkpoint in {checkpoints.folder} was evaluated yet; use'
        f' --step=latest or one of {known}'
      )
    return best
  if not wanted.isdecimal() or int(wanted) not in steps:
    raise UserError(
      f'--step={wanted} does not exist in {checkpoints.folder}; there are'
      f' {known}, best and latest'
    )
  return int(wanted)

"""From images to logits: predictors, and networks loaded from a folder."""

from collections.abc import Callable, Sequence
import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections

from inception import paths
from inception.checkpoints import restore
from inception.data import device
from inception.modules.network import Network, Outputs, create_model

Array = jax.Array

# Maps (variables, uint8 images [batch, height, width, 3]) to float32 logits
# [batch, num_classes]. Evaluation scores any predictor.
Predictor = Callable[[Any, Array], Array]


def make_predictor(
  model: Network, data: ml_collections.ConfigDict
) -> Predictor:
  """Makes the predictor of one network and one crop.

  Args:
    model: The network.
    data: `config.data`: the mean, deviation and channel order it expects.
  """

  def predict(variables: Any, images: Array) -> Array:
    outputs: Any = model.apply(variables, device.normalize(images, data))
    return outputs.logits

  return predict


def model_from_config(
  config: ml_collections.ConfigDict, axis_name: str | None = None
) -> Network:
  """Makes the network that a whole config describes.

  Args:
    config: A config with `model.num_classes` set.
    axis_name: pmap axis that a training batch is split over, or None.
  """
  return create_model(
    **config.model,
    precision=config.precision,
    freeze_through=config.freeze_through,
    axis_name=axis_name,
  )


@dataclasses.dataclass(frozen=True)
class Pretrained:
  """A network, its weights, and how they expect images.

  Attributes:
    model: The Flax module.
    variables: {'params', 'batch_stats'}.
    config: Config of the run or of the import.
  """

  model: Network
  variables: dict[str, Any]
  config: ml_collections.ConfigDict

  def __call__(self, images: Array, *, endpoints: bool = False) -> Outputs:
    """Classifies images as `read` returns them; see `Network.__call__`.

    The first call for a shape of images compiles the network.
    """
    return self._apply(self.variables, images, endpoints)

  @functools.cached_property
  def _apply(self) -> Callable[[Any, Array, bool], Any]:
    def apply(variables: Any, images: Array, endpoints: bool) -> Any:
      return self.model.apply(variables, images, endpoints=endpoints)

    return jax.jit(apply, static_argnums=2)

  def read(self, paths: Sequence[paths.PathLike]) -> Array:
    """Reads image files the way the weights expect them.

    Args:
      paths: JPEG, PNG, GIF or BMP files.

    Returns:
      float32 [len(paths), height, width, 3].

    Raises:
      UserError: A file cannot be read.
    """
    from inception.data import images  # Imports TensorFlow.

    read = [images.load_image(str(path), self.config.data) for path in paths]
    return device.normalize(jnp.stack(read), self.config.data)


def load_pretrained(
  folder: paths.PathLike, step: str = 'latest', precision: str = 'float32'
) -> Pretrained:
  """Loads a network from a folder with checkpoints.

  Args:
    folder: A folder that `python -m inception.pretrained` wrote, or a run's
      workdir.
    step: A number, 'best' (by top-1 in training) or 'latest'.
    precision: Arithmetic, see `create_model`.

  Raises:
    UserError: There is no such checkpoint, or it is damaged.
  """
  loaded = restore.load_variables(paths.resolve(folder), step)
  config = loaded.config.copy_and_resolve_references()
  config.precision = precision
  model = model_from_config(config)
  variables = jax.tree.map(jnp.asarray, loaded.variables)
  return Pretrained(model, variables, loaded.config)

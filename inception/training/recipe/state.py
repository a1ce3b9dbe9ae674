"""The state of a run: one tree without a device axis, saved as is."""

from typing import Any

from flax import struct
from flax.training import dynamic_scale
import jax
import jax.numpy as jnp
import ml_collections

from inception.modules.network import Network
from inception.training.recipe.optimizer import MakeOptimizer

Array = jax.Array


@struct.dataclass
class TrainState:
  """Everything that changes in training.

  Attributes:
    step: int32, steps taken. Position in the data, random keys and learning
      rate depend on it alone.
    params: float32 parameters.
    batch_stats: float32 moving statistics of batch norm.
    opt_state: State of the optimizer.
    ema: Moving average of {'params', 'batch_stats'}, or None.
    loss_scale: Dynamic loss scale of float16, or None.
    skipped: int32, number of skipped non-finite updates; None if none may be
      skipped.
  """

  step: jax.Array
  params: Any
  batch_stats: Any
  opt_state: Any
  ema: Any
  loss_scale: dynamic_scale.DynamicScale | None
  skipped: jax.Array | None

  def eval_variables(self) -> dict[str, Any]:
    """Returns the variables for evaluation: the moving average, if any."""
    if self.ema is not None:
      return self.ema
    return {'params': self.params, 'batch_stats': self.batch_stats}


def initial_state(
  seed: int | Array,
  config: ml_collections.ConfigDict,
  model: Network,
  optimizer: MakeOptimizer,
) -> TrainState:
  """Returns the state before the first step, initialized from a seed."""
  side = config.data.image_size
  variables = model.init(jax.random.key(seed), jnp.zeros((1, side, side, 3)))
  params = variables['params']
  batch_stats = variables.get('batch_stats', {})
  averaged = {'params': params, 'batch_stats': batch_stats}
  is_float16 = config.precision == 'float16'
  return TrainState(
    step=jnp.zeros((), jnp.int32),
    params=params,
    batch_stats=batch_stats,
    opt_state=optimizer(0).init(params),
    ema=averaged if config.optimizer.ema_decay is not None else None,
    loss_scale=dynamic_scale.DynamicScale() if is_float16 else None,
    skipped=jnp.zeros((), jnp.int32)
    if config.divergence.skip_updates
    else None,
  )

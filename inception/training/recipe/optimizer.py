"""Optimizers: from gradients to updates."""

from collections.abc import Callable, Collection
from typing import Any

import jax
import ml_collections
import optax

from inception.errors import lookup

# Makes the optimizer of one step from the step's learning rate. Its state does
# not depend on the rate, so the optimizer needs no counter of its own.
MakeOptimizer = Callable[[jax.typing.ArrayLike], optax.GradientTransformation]


def make_optimizer(
  config: ml_collections.ConfigDict,
  learning_rate: jax.typing.ArrayLike,
  frozen: Collection[str] = (),
  heads: Collection[str] = (),
) -> optax.GradientTransformation:
  """Chains weight decay, clipping and the optimizer.

  Weight decay comes first: it is the L2 penalty of the papers' code, part of
  the gradient that is clipped and normalized.

  Args:
    config: `config.optimizer`.
    learning_rate: Learning rate of this step.
    frozen: Names of stages whose parameters get no update and have no state.
    heads: Scopes that `trunk_learning_rate` does not apply to.

  Raises:
    UserError: There is no optimizer of that name.
  """
  parts = [optax.add_decayed_weights(config.weight_decay, mask=_kernels)]
  if config.clip_norm:
    parts.append(optax.clip_by_global_norm(config.clip_norm))
  make = lookup(OPTIMIZERS, config.name, 'optimizer.name')
  parts.append(make(config, learning_rate))
  if config.trunk_learning_rate != 1:
    # Updates are proportional to the learning rate.
    slower = optax.scale(config.trunk_learning_rate)
    parts.append(optax.masked(slower, lambda p: {k: k not in heads for k in p}))
  optimizer = optax.chain(*parts)
  if not frozen:
    return optimizer

  def label(params: Any) -> Any:
    # The labels are keys of the saved state.
    return {
      scope: 'frozen' if scope in frozen else 'learns' for scope in params
    }

  return optax.partition(
    {'learns': optimizer, 'frozen': optax.set_to_zero()}, label
  )


def _kernels(params: Any) -> Any:
  """Returns a tree of bools: True for parameters with weight decay."""
  return jax.tree_util.tree_map_with_path(
    lambda path, _: path[-1].key.endswith('kernel'), params
  )


def _sgd(
  config: ml_collections.ConfigDict, learning_rate: jax.typing.ArrayLike
) -> optax.GradientTransformation:
  return optax.sgd(learning_rate, config.momentum, config.nesterov)


def _tensorflow_rmsprop(
  config: ml_collections.ConfigDict, learning_rate: jax.typing.ArrayLike
) -> optax.GradientTransformation:
  # TensorFlow starts the mean square at 1, adds epsilon inside the root, and
  # applies the learning rate inside the momentum buffer. With epsilon = 1, each
  # of the three changes the results.
  return optax.rmsprop(
    learning_rate,
    decay=config.rmsprop_decay,
    eps=config.rmsprop_epsilon,
    initial_scale=1.0,
    eps_in_sqrt=True,
    momentum=config.momentum,
  )


# Optimizers by name, `config.optimizer.name`.
OPTIMIZERS = {'sgd': _sgd, 'rmsprop': _tensorflow_rmsprop}

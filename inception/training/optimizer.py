"""Optimizers: gradients to updates."""

from collections.abc import Collection
from typing import Any

import jax
import ml_collections
import optax


def make_optimizer(
  config: ml_collections.ConfigDict,
  learning_rate: jax.typing.ArrayLike,
  frozen: Collection[str] = (),
) -> optax.GradientTransformation:
  """Chains weight decay, clipping and the optimizer.

  Weight decay comes first, as the L2 penalty that it is in the papers' code: it
  is part of the gradient that is clipped and normalised.

  Args:
    config: `config.optimizer`.
    learning_rate: of this step; the optimizer's state does not depend on it,
      so that it has no counter of its own.
    frozen: stages whose parameters get no update and have no state.
  """
  parts = [optax.add_decayed_weights(config.weight_decay, mask=kernels)]
  if config.clip_norm:
    parts.append(optax.clip_by_global_norm(config.clip_norm))
  if config.name == 'sgd':
    parts.append(optax.sgd(learning_rate, config.momentum, config.nesterov))
  else:
    parts.append(_tensorflow_rmsprop(config, learning_rate))
  optimizer = optax.chain(*parts)
  if not frozen:
    return optimizer

  def label(params: Any) -> Any:
    return {
      scope: 'frozen' if scope in frozen else 'learns' for scope in params
    }

  return optax.partition(
    {'learns': optimizer, 'frozen': optax.set_to_zero()}, label
  )


def kernels(params: Any) -> Any:
  """Returns a tree of bools: which parameters have weight decay."""
  return jax.tree_util.tree_map_with_path(
    lambda path, _: path[-1].key.endswith('kernel'), params
  )


def _tensorflow_rmsprop(
  config: ml_collections.ConfigDict, learning_rate: jax.typing.ArrayLike
) -> optax.GradientTransformation:
  # TensorFlow starts the mean square at 1, adds epsilon inside the root, and
  # has the learning rate inside the momentum buffer. With epsilon = 1 each of
  # the three changes the run.
  return optax.rmsprop(
    learning_rate,
    decay=config.rmsprop_decay,
    eps=config.rmsprop_epsilon,
    initial_scale=1.0,
    eps_in_sqrt=True,
    momentum=config.momentum,
  )

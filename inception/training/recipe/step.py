"""One training step on one device.

Its collectives are here and in gradients.py; its random keys come from
`augment.step_keys`.
"""

from collections.abc import Sequence
import dataclasses
import functools
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax

from inception.data.device import augment, feed
from inception.modules import compiler_options
from inception.modules.network import Network
from inception.processes import distributed
from inception.processes.device_program import DeviceProgram
from inception.processes.distributed import AXIS
from inception.training.recipe import losses
from inception.training.recipe.gradients import mean_gradients
from inception.training.recipe.optimizer import MakeOptimizer
from inception.training.recipe.schedule import Schedule
from inception.training.recipe.state import TrainState

Array = jax.Array
Batch = dict[str, Array]
Metrics = dict[str, Array]


@dataclasses.dataclass(frozen=True)
class TrainStep:
  """A compiled step: `state, metrics = step(state, batch)`.

  Attributes:
    compiled: The pmapped function, or a compiled program of it.
    seed: int32, on all devices. An argument rather than a constant, so that
      runs with different seeds share the program in the compilation cache.
  """

  compiled: Any
  seed: Array

  def __call__(
    self, state: TrainState, batch: Batch
  ) -> tuple[TrainState, Metrics]:
    """Takes a step."""
    return self.compiled(self.seed, state, batch)

  def compile(self, state: TrainState, batch: Any) -> Any:
    """Compiles the step for these arguments, or for their shapes."""
    return self.compiled.compile(self.seed, state, batch)


@dataclasses.dataclass(frozen=True)
class Recipe:
  """The constants of all steps of a run.

  Attributes:
    config: The whole config.
    model: The network, made with `axis_name=AXIS`.
    schedule: Step to learning rate.
    optimizer: Learning rate to optimizer.
    class_weights: float32 [classes], weight of an example by its class; None:
      all 1.
  """

  config: ml_collections.ConfigDict
  model: Network
  schedule: Schedule
  optimizer: MakeOptimizer
  class_weights: np.ndarray | None = None


def make_train_step(recipe: Recipe, devices: Sequence[jax.Device]) -> TrainStep:
  """Makes the step for the given devices.

  The state has no device axis. The input state is donated; do not reuse it.

  Returns:
    A function of the state and of a batch with `image` uint8 and `label` int32,
    both [local devices, batch, ...]. Returns the new state and scalars over the
    whole batch: `loss` (with auxiliary heads), `top1`, `learning_rate`, and, if
    non-finite updates may be skipped, their number so far, `skipped_updates`.
  """
  seed = jnp.asarray(recipe.config.seed, jnp.int32)
  return TrainStep(
    step_program(recipe).pmap(devices), distributed.replicate(seed, devices)
  )


def step_program(recipe: Recipe) -> DeviceProgram:
  """Returns the step as a program of (seed, state, batch)."""
  return DeviceProgram(
    functools.partial(train_step, recipe),
    split=(False, False, True),
    donated=(1,),
    options=compiler_options.for_network(
      recipe.model.architecture, recipe.config.data.image_size
    ),
  )


def train_step(
  recipe: Recipe, seed: Array, state: TrainState, batch: Batch
) -> tuple[TrainState, Metrics]:
  """Takes one step on one device, with collectives over `AXIS`."""
  # The same keys on all devices: the key of each image is folded from its row
  # in the global batch.
  image_key, dropout_key = augment.step_keys(seed, state.step)
  # Named scopes label the parts of a step in profiles and plans.
  with jax.named_scope('augmentation'):
    examples = _augment(batch, image_key, recipe)

  def loss_of(params: Any, examples: Batch) -> tuple[Array, tuple[Array, Any]]:
    variables = {'params': params, 'batch_stats': state.batch_stats}
    return _loss(variables, examples, dropout_key, recipe)

  gradients = mean_gradients(
    loss_of,
    state.params,
    examples,
    recipe.config.accumulation_steps,
    state.loss_scale,
  )
  grads, (top1, batch_stats) = gradients.mean, gradients.others
  # Without synchronized batch norm, devices have different statistics; the
  # state stores only one set.
  batch_stats = lax.pmean(batch_stats, AXIS)
  loss, top1 = lax.pmean((gradients.loss, top1), AXIS)

  with jax.named_scope('optimizer'):
    new_state = _update(state, grads, batch_stats, recipe)
  if gradients.finite is not None:
    new_state = dataclasses.replace(new_state, loss_scale=gradients.loss_scale)
    # Scaled gradients are expected to overflow occasionally.
    new_state = _keep_if(gradients.finite, new_state, state)
  metrics = {'loss': loss, 'top1': top1}
  if state.skipped is not None:
    finite = jnp.isfinite(loss)
    if gradients.finite is None:
      finite &= jnp.isfinite(optax.tree.norm(grads))
    new_state = _keep_if(finite, new_state, state)
    new_state = dataclasses.replace(new_state, skipped=state.skipped + ~finite)
    metrics['skipped_updates'] = new_state.skipped
  metrics['learning_rate'] = recipe.schedule(state.step)
  return new_state, metrics


def update_ema(ema: Any, new: Any, decay: float | None, step: Array) -> Any:
  """Moves an average towards new values.

  The decay, the fraction of the average that is kept, grows from 0.1 to its
  full value, as TensorFlow's does with `num_updates`, so the initial values are
  soon forgotten.
  """
  if ema is None or decay is None:
    return None
  kept = jnp.minimum(decay, (1 + step) / (10 + step))
  return optax.incremental_update(new, ema, 1 - kept)


def _loss(
  variables: Any, examples: Batch, dropout_key: Array, recipe: Recipe
) -> tuple[Array, tuple[Array, Any]]:
  """Returns the mean loss of examples, mean top-1 and new statistics."""
  targets = examples['target']
  outputs, updated = recipe.model.apply(
    variables,
    feed.normalize(examples['image'], recipe.config.data),
    train=True,
    rows=examples['row'],
    mutable=['batch_stats'],
    rngs={'dropout': dropout_key},
  )
  with jax.named_scope('loss'):
    loss = losses.training_loss(
      outputs, targets, recipe.config.loss, recipe.class_weights
    )
  # The label of a mixed image is the one with the larger weight.
  best, label = (jnp.argmax(x, axis=-1) for x in (outputs.logits, targets))
  return loss, (jnp.mean(best == label), updated.get('batch_stats', {}))


def _augment(batch: Batch, key: Array, recipe: Recipe) -> Batch:
  """Returns images, targets [batch, classes], and rows in the global batch."""
  config = recipe.config.data
  images = batch['image']
  targets = jax.nn.one_hot(batch['label'], recipe.model.num_classes)
  rows = lax.axis_index(AXIS) * len(images) + jnp.arange(len(images))
  images, targets = augment.augment(key, images, targets, rows, config, AXIS)
  return {'image': images, 'target': targets, 'row': rows}


def _update(
  state: TrainState, grads: Any, batch_stats: Any, recipe: Recipe
) -> TrainState:
  """Applies mean gradients; the loss scale does not change."""
  optimizer = recipe.optimizer(recipe.schedule(state.step))
  updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
  params = optax.apply_updates(state.params, updates)
  averaged = {'params': params, 'batch_stats': batch_stats}
  ema_decay = recipe.config.optimizer.ema_decay
  return TrainState(
    step=state.step + 1,
    params=params,
    batch_stats=batch_stats,
    opt_state=opt_state,
    ema=update_ema(state.ema, averaged, ema_decay, state.step),
    loss_scale=state.loss_scale,
    skipped=state.skipped,
  )


def _keep_if(finite: Array, new: TrainState, old: TrainState) -> TrainState:
  """Returns `new` if finite, else `old` with `new`'s step and loss scale."""
  kept = dataclasses.replace(old, step=new.step, loss_scale=new.loss_scale)
  return jax.tree.map(lambda a, b: jnp.where(finite, a, b), new, kept)

"""One training step: every collective and every random key is here."""

from collections.abc import Callable, Sequence
import dataclasses
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp
import ml_collections
import optax

from inception.data import augment, device
from inception.modules.network import Inception
from inception.training import losses
from inception.training.optimizer import make_optimizer
from inception.training.state import TrainState

Array = jax.Array
Metrics = dict[str, Array]
TrainStep = Callable[[TrainState, dict[str, Array]], tuple[TrainState, Metrics]]

AXIS = 'batch'


def make_train_step(
  config: ml_collections.ConfigDict,
  model: Inception,
  schedule: optax.Schedule,
  devices: Sequence[jax.Device],
) -> TrainStep:
  """Compiles the step for some devices.

  The state goes in and comes out without a device axis, and its memory is used
  again: keep no second name for the state that went in.

  Args:
    config: a whole config.
    model: made with `axis_name=AXIS`.
    schedule: step to learning rate.
    devices: local devices.

  Returns:
    A function of the state and of a batch with `image` uint8 and `label` int32,
    both [devices, batch, ...]. Returns the new state and float32 scalars of the
    whole batch: `loss` (auxiliary heads included), `top1` and `learning_rate`.
  """

  def step(
    state: TrainState, batch: dict[str, Array]
  ) -> tuple[TrainState, Metrics]:
    return train_step(state, batch, config, model, schedule)

  return jax.pmap(
    step,
    axis_name=AXIS,
    in_axes=(None, 0),
    out_axes=None,
    devices=devices,
    donate_argnums=0,
  )


def train_step(
  state: TrainState,
  batch: dict[str, Array],
  config: ml_collections.ConfigDict,
  model: Inception,
  schedule: optax.Schedule,
) -> tuple[TrainState, Metrics]:
  """One step on one device, in a pmap over `AXIS`; see `make_train_step`."""
  # The same key on all devices: what is random belongs to an image, whose own
  # key is folded from its place in the global batch.
  key = jax.random.fold_in(jax.random.key(config.seed), state.step)
  image_key, dropout_key = jax.random.split(key)
  targets = jax.nn.one_hot(batch['label'], model.num_classes)
  images = batch['image']
  places = lax.axis_index(AXIS) * len(images) + jnp.arange(len(images))
  images, targets = augment.augment(
    image_key, images, targets, places, config.data, AXIS
  )
  images = device.normalize(images, config.data)

  def loss_of(params: Any) -> tuple[Array, tuple[Array, Any]]:
    outputs, updated = model.apply(
      {'params': params, 'batch_stats': state.batch_stats},
      images,
      train=True,
      mutable=['batch_stats'],
      rngs={'dropout': dropout_key},
    )
    loss = losses.training_loss(outputs, targets, config.loss)
    return loss, (outputs.logits, updated.get('batch_stats', {}))

  loss_scale, finite = state.loss_scale, None
  if loss_scale is None:
    grad_of = jax.value_and_grad(loss_of, has_aux=True)
    (loss, (logits, batch_stats)), grads = grad_of(state.params)
    grads = lax.pmean(grads, AXIS)
  else:
    # Averages over the axis itself, before it looks for overflow, so that all
    # devices agree whether to skip the step.
    scaled = loss_scale.value_and_grad(loss_of, has_aux=True, axis_name=AXIS)
    loss_scale, finite, (loss, (logits, batch_stats)), grads = scaled(
      state.params
    )
  # Statistics differ between devices where batch norm is not synchronised; the
  # state has room for one of them.
  batch_stats = lax.pmean(batch_stats, AXIS)
  # Of a mixed image, the label with the larger share.
  top1 = jnp.mean(jnp.argmax(logits, axis=-1) == jnp.argmax(targets, axis=-1))
  loss, top1 = lax.pmean((loss, top1), AXIS)

  learning_rate = schedule(state.step)
  optimizer = make_optimizer(
    config.optimizer, learning_rate, model.frozen_stages
  )
  updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
  params = optax.apply_updates(state.params, updates)
  averaged = {'params': params, 'batch_stats': batch_stats}
  new_state = TrainState(
    step=state.step + 1,
    params=params,
    batch_stats=batch_stats,
    opt_state=opt_state,
    ema=update_ema(state.ema, averaged, config.optimizer.ema_decay, state.step),
    loss_scale=loss_scale,
  )
  if finite is not None:
    # After an overflow only the counter and the scale move on.
    kept = dataclasses.replace(
      state, step=new_state.step, loss_scale=loss_scale
    )
    new_state = jax.tree.map(
      lambda new, old: jnp.where(finite, new, old), new_state, kept
    )
  return new_state, {'loss': loss, 'top1': top1, 'learning_rate': learning_rate}


def update_ema(ema: Any, new: Any, decay: float | None, step: Array) -> Any:
  """Moves an average towards new values.

  The decay grows from 0.1 to its full value, as TensorFlow's does with
  `num_updates`, so that the initial values are soon forgotten.

  Args:
    ema: tree of the average, or None.
    new: tree of the new values.
    decay: share of the average that is kept; None where there is no average.
    step: steps taken before.
  """
  if ema is None or decay is None:
    return None
  kept = jnp.minimum(decay, (1 + step) / (10 + step))
  return jax.tree.map(lambda old, x: old + (1 - kept) * (x - old), ema, new)

"""Mean gradients of a step: over all devices, and over parts of a batch."""

from collections.abc import Callable
import dataclasses
from typing import Any

from flax.training import dynamic_scale
import jax
from jax import lax
import jax.numpy as jnp
import optax

from inception.processes.distributed import AXIS

Tree = Any

# From parameters and examples to the mean loss, and other means.
LossOf = Callable[[Tree, Tree], tuple[jax.Array, Tree]]


@dataclasses.dataclass(frozen=True)
class Gradients:
  """Results of one device for a step.

  Attributes:
    loss: Mean over this device's examples.
    others: The other means that `LossOf` returns, over the same examples.
    mean: Mean gradients over all devices.
    loss_scale: New loss scale, or None.
    finite: True if all gradients are finite; None without a loss scale.
  """

  loss: jax.Array
  others: Tree
  mean: Tree
  loss_scale: dynamic_scale.DynamicScale | None = None
  finite: jax.Array | None = None


def mean_gradients(
  loss_of: LossOf,
  params: Tree,
  examples: Tree,
  parts: int,
  loss_scale: dynamic_scale.DynamicScale | None,
) -> Gradients:
  """Returns gradients of the mean loss over the examples of all devices.

  Args:
    loss_of: The loss; its results are means over its examples.
    params: Parameters.
    examples: Tree of arrays [batch, ...], this device's part of the batch.
    parts: Number of equal parts that are processed one after the other, so that
      only one is in memory; must divide the device's batch.
    loss_scale: Dynamic loss scale of float16, or None.
  """
  scale = 1.0 if loss_scale is None else loss_scale.scale

  def of_part(part: Tree) -> Tree:
    def scaled(params: Tree) -> tuple[jax.Array, Tree]:
      loss, others = loss_of(params, part)
      return scale * loss, (loss, others)

    return jax.grad(scaled, has_aux=True)(params)

  grads, (loss, others) = _mean_over_parts(of_part, examples, parts)
  if loss_scale is None:
    return Gradients(loss, others, lax.pmean(grads, AXIS))

  # Flax's loss scale needs a function of the parameters; this one has these
  # gradients. Flax averages over the axis before it checks for overflow, so all
  # devices agree on whether to skip the step.
  def linear(params: Tree) -> jax.Array:
    return optax.tree.vdot(jax.tree.map(lambda g: g / scale, grads), params)

  loss_scale, finite, _, mean = loss_scale.value_and_grad(
    linear, axis_name=AXIS
  )(params)
  return Gradients(loss, others, mean, loss_scale, finite)


def _mean_over_parts(
  function: Callable[[Tree], Tree], examples: Tree, parts: int
) -> Tree:
  """Returns the mean of a function over equal parts of the examples."""
  if parts == 1:
    return function(examples)
  split = jax.tree.map(
    lambda x: x.reshape(parts, x.shape[0] // parts, *x.shape[1:]), examples
  )
  first = jax.tree.map(lambda x: x[0], split)
  zeros = jax.tree.map(jnp.zeros_like, jax.eval_shape(function, first))

  def add(sums: Tree, part: Tree) -> tuple[Tree, None]:
    return jax.tree.map(jnp.add, sums, function(part)), None

  sums, _ = lax.scan(add, zeros, split)
  return jax.tree.map(lambda x: x / parts, sums)

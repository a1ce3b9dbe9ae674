"""The interpreter: Flax modules that run the scoped blocks of a table."""

from typing import Any

from flax import linen as nn
import jax
from jax import lax
import jax.numpy as jnp

from inception.modules import pooling
from inception.modules.convolution import ConvUnit, SeparableConvUnit
from inception.modules.options import Options, dense
from inception.spec import scopes
from inception.spec import vocabulary as v
from inception.spec.scopes import Scoped

Array = jax.Array


def run(node: Scoped, options: Options, x: Array, train: bool) -> Array:
  """Runs a block inside the calling module.

  A block with a name gets a scope of its own; one without shares the caller's.

  Args:
    node: The block, with the scopes of everything inside.
    options: How its layers compute.
    x: [batch, height, width, channels].
    train: Use and update the statistics of the batch.

  Returns:
    [batch, height, width, channels] in `options.dtype`.
  """
  match node.block:
    case v.Conv():
      return ConvUnit(node.block, options, name=node.name)(x, train)
    case v.SeparableConv():
      return SeparableConvUnit(node.block, options, name=node.name)(x, train)
    case v.SqueezeExcite():
      return SqueezeExcite(node.block, options, name=node.name)(x)
    case v.MaxPool():
      return pooling.max_pool(x, node.block)
    case v.AvgPool():
      return pooling.avg_pool(x, node.block)
    case v.AdaptiveAvgPool():
      return pooling.adaptive_avg_pool(x, node.block)
    case v.LocalResponseNorm():
      return pooling.local_response_norm(x, node.block)
    case v.Repeat():
      return RepeatedBlock(node, options, name=node.name)(x, train)
  if node.name:
    return Block(node, options, name=node.name)(x, train)
  return _run_parts(node, options, x, train)


def run_again(
  module: nn.Module, node: Scoped, options: Options, x: Array, train: bool
) -> Array:
  """Runs a block as `run`; its gradient computes what is inside again.

  Args:
    module: The calling module.
    node: As that of `run`.
    options: As that of `run`.
    x: As that of `run`.
    train: As that of `run`.
  """

  def inside(_: nn.Module, x: Array) -> Array:
    return run(node, options, x, train)

  result: Array = nn.remat(inside)(module, x)
  return result


class Block(nn.Module):
  """Runs the parts of a block in a scope of their own."""

  node: Scoped
  options: Options

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    """Maps [batch, height, width, channels] to the same with other sizes."""
    return _run_parts(self.node, self.options, x, train)


class SqueezeExcite(nn.Module):
  """Scales channels by a gate that reads the average of the whole grid.

  SENet paper (Hu et al., 2018), section 3. Parameters: `Reduce`, `Expand`.
  """

  gate: v.SqueezeExcite
  options: Options

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """Maps [batch, height, width, channels] to the same shape."""
    channels = x.shape[-1]
    reduce = dense(self.gate.hidden(channels), self.options, 'Reduce')
    expand = dense(channels, self.options, 'Expand')
    mean = jnp.mean(x, axis=(1, 2), dtype=jnp.float32)
    gate = nn.sigmoid(expand(nn.relu(reduce(mean))))
    return x * gate[:, None, None, :]


class RepeatedBlock(nn.Module):
  """Runs a `Repeat`: equal residual blocks in series, unrolled or as a loop.

  Either way, each block has its own parameters `<name>_1`, `<name>_2`, ...
  """

  node: Scoped
  options: Options

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    """Maps [batch, height, width, channels] to the same shape."""
    if self.options.scan_blocks and not self.is_initializing():
      return self._scan(x, train)
    again = self.options.remat and train
    for part in self.node.parts:
      if again:
        x = run_again(self, part, self.options, x, train)
      else:
        x = run(part, self.options, x, train)
    return x

  def _scan(self, x: Array, train: bool) -> Array:
    """Runs the blocks as one loop over their stacked variables.

    XLA compiles the body once. Parameters are stacked inside the compiled
    program, so their paths do not depend on how the blocks run.
    """
    block = Block(self.node.parts[0], self.options, parent=None)
    collections = self.variables
    stacked = {
      kind: jax.tree.map(
        lambda *leaves: jnp.stack(leaves),
        *(collections[kind][part.name] for part in self.node.parts),
      )
      for kind in ('params', 'batch_stats')
      if kind in collections
    }
    update = train and self.is_mutable_collection('batch_stats')

    def body(x: Array, variables: Any) -> Any:
      if not update:
        return block.apply(variables, x, train), None
      return block.apply(variables, x, train, mutable=['batch_stats'])

    if self.options.remat and train:
      body = jax.checkpoint(body)
    x, updated = lax.scan(body, x, stacked)
    if update and updated:
      for i, part in enumerate(self.node.parts):
        statistics = jax.tree.map(
          lambda leaf, i=i: leaf[i], updated['batch_stats']
        )
        self.put_variable('batch_stats', part.name, statistics)
    return x


def _run_parts(node: Scoped, options: Options, x: Array, train: bool) -> Array:
  match node.block:
    case v.Chain() | v.Gated():
      for part in node.parts:
        x = run(part, options, x, train)
      return x
    case v.Concat():
      outputs = [run(part, options, x, train) for part in node.parts]
      return jnp.concatenate(outputs, axis=-1)
    case v.Residual(scale=scale, relu=relu):
      change = x
      for part in scopes.residual_parts(node, x.shape[-1]):
        change = run(part, options, change, train)
      x = x + scale * change
      return nn.relu(x) if relu else x
  raise TypeError(f'{node.block!r} is not a block of the vocabulary')

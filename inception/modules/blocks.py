"""The interpreter: Flax modules that run the blocks of a table.

A `Concat` that is a whole stage opens the scopes `Branch_0`, `Branch_1`, ...;
inside a branch, convolutions are named by `architectures.naming`.
"""

from collections.abc import Iterator
from typing import Any

from flax import linen as nn
import jax
from jax import lax
import jax.numpy as jnp

from inception.architectures import naming
from inception.architectures import vocabulary as v
from inception.modules import pooling
from inception.modules.convolution import ConvUnit, SeparableConvUnit
from inception.modules.options import Options, dense

Array = jax.Array


def run_stage(
  name: str, block: v.Block, options: Options, x: Array, train: bool
) -> Array:
  """Runs a named block of the trunk inside the calling module.

  Args:
    name: scope of the block's parameters.
    block: what to run.
    options: how its convolutions compute.
    x: [batch, height, width, channels].
    train: use and update the statistics of the batch.

  Returns:
    [batch, height, width, channels] in `options.dtype`.
  """
  match block:
    case v.Conv() | v.SeparableConv():
      return _convolution(name, block, options)(x, train)
    case v.Concat():
      return ConcatBlock(block, options, name=name)(x, train)
    case v.Residual():
      return ResidualBlock(block, options, name=name)(x, train)
    case v.Repeat():
      return RepeatedBlock(block, options, name=name)(x, train)
    case _:
      return Branch(block, options, name=name)(x, train)


class Branch(nn.Module):
  """Runs what stands in series; forks inside share the branch's scope."""

  block: v.Block
  options: Options

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    """Maps [batch, height, width, channels] to the same with other sizes."""
    names = iter(naming.convolution_names(self.block))
    return self._run(self.block, names, x, train)

  def _run(
    self, block: v.Block, names: Iterator[str], x: Array, train: bool
  ) -> Array:
    match block:
      case v.Conv() | v.SeparableConv():
        return _convolution(next(names), block, self.options)(x, train)
      case v.MaxPool():
        return pooling.max_pool(x, block)
      case v.AvgPool():
        return pooling.avg_pool(x, block)
      case v.AdaptiveAvgPool():
        return pooling.adaptive_avg_pool(x, block)
      case v.LocalResponseNorm():
        return pooling.local_response_norm(x, block)
      case v.Chain(blocks):
        for part in blocks:
          x = self._run(part, names, x, train)
        return x
      case v.Concat(blocks):
        parts = [self._run(part, names, x, train) for part in blocks]
        return jnp.concatenate(parts, axis=-1)
    raise TypeError(f'{block!r} cannot stand inside a branch')


class Branches(nn.Module):
  """Runs the branches of a `Concat` on the same input and joins them."""

  concat: v.Concat
  options: Options

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    """Maps [batch, height, width, channels] to the same with other sizes."""
    outputs = [
      Branch(branch, self.options, name=f'Branch_{i}')(x, train)
      for i, branch in enumerate(self.concat.blocks)
    ]
    return jnp.concatenate(outputs, axis=-1)


class SqueezeExcite(nn.Module):
  """Scales channels by a gate that sees the average of the whole grid.

  SENet paper (Hu et al., 2018), section 3. Parameters: `Reduce`, `Expand`.
  """

  options: Options

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """Maps [batch, height, width, channels] to the same shape."""
    factor = self.options.squeeze_excite
    if factor is None:
      return x
    channels = x.shape[-1]
    reduce = dense(max(1, channels // factor), self.options, 'Reduce')
    expand = dense(channels, self.options, 'Expand')
    mean = jnp.mean(x, axis=(1, 2), dtype=jnp.float32)
    gate = nn.sigmoid(expand(nn.relu(reduce(mean))))
    return x * gate[:, None, None, :]


class ConcatBlock(nn.Module):
  """Runs a `Concat` that is a whole stage: branches, squeeze-excite."""

  concat: v.Concat
  options: Options

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    """Maps [batch, height, width, channels] to the same with other sizes."""
    branches = Branches(self.concat, self.options)
    nn.share_scope(self, branches)
    squeeze_excite = SqueezeExcite(self.options, name='SqueezeExcite')
    return squeeze_excite(branches(x, train))


class ResidualBlock(nn.Module):
  """Runs a `Residual`: branches, projection, squeeze-excite, scaled sum, ReLU.

  The parameters of the branches and of the projection `Conv2d_1x1` share one
  scope, as in TF-slim.
  """

  residual: v.Residual
  options: Options

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    """Maps [batch, height, width, channels] to the same shape."""
    branches = Branches(self.residual.branches, self.options)
    nn.share_scope(self, branches)
    projection = ConvUnit(
      v.Conv(x.shape[-1], batch_norm=False),
      self.options,
      relu=False,
      name='Conv2d_1x1',
    )
    squeeze_excite = SqueezeExcite(self.options, name='SqueezeExcite')
    change = squeeze_excite(projection(branches(x, train), train))
    x = x + self.residual.scale * change
    return nn.relu(x) if self.residual.relu else x


class RepeatedBlock(nn.Module):
  """Runs a `Repeat`: equal residual blocks in series, unrolled or as a loop.

  Either way each block has its own parameters `<name>_1`, `<name>_2`, ...
  """

  repeat: v.Repeat
  options: Options

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    """Maps [batch, height, width, channels] to the same shape."""
    names = [f'{self.repeat.name}_{i}' for i in range(1, self.repeat.times + 1)]
    if self.options.scan_blocks and not self.is_initializing():
      return self._scan(names, x, train)
    for name in names:
      x = ResidualBlock(self.repeat.block, self.options, name=name)(x, train)
    return x

  def _scan(self, names: list[str], x: Array, train: bool) -> Array:
    """Runs the blocks as one loop over their stacked variables.

    XLA compiles the body once. The parameters are stacked inside the compiled
    program, so that nobody outside sees how they ran.
    """
    block = ResidualBlock(self.repeat.block, self.options, parent=None)
    collections = self.variables
    stacked = {
      kind: jax.tree.map(
        lambda *leaves: jnp.stack(leaves),
        *(collections[kind][name] for name in names),
      )
      for kind in ('params', 'batch_stats')
      if kind in collections
    }
    update = train and self.is_mutable_collection('batch_stats')

    def body(x: Array, variables: Any) -> Any:
      if not update:
        return block.apply(variables, x, train), None
      return block.apply(variables, x, train, mutable=['batch_stats'])

    x, updated = lax.scan(body, x, stacked)
    if update and updated:
      for i, name in enumerate(names):
        statistics = jax.tree.map(
          lambda leaf, i=i: leaf[i], updated['batch_stats']
        )
        self.put_variable('batch_stats', name, statistics)
    return x


def _convolution(
  name: str, block: v.Conv | v.SeparableConv, options: Options
) -> ConvUnit | SeparableConvUnit:
  if isinstance(block, v.Conv):
    return ConvUnit(block, options, name=name)
  return SeparableConvUnit(block, options, name=name)

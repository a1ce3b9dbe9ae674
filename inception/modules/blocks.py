"""The interpreter: Flax modules that run the blocks of a table.

A `Concat` that is a whole stage opens the scopes `Branch_0`, `Branch_1`, ...;
inside a branch, convolutions are named by `architectures.naming`.
"""

from collections.abc import Iterator

from flax import linen as nn
import jax
import jax.numpy as jnp

from inception.architectures import naming
from inception.architectures import vocabulary as v
from inception.modules import pooling
from inception.modules.convolution import (
  ConvOptions,
  ConvUnit,
  SeparableConvUnit,
)

Array = jax.Array


def run_stage(
  name: str, block: v.Block, options: ConvOptions, x: Array, train: bool
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
      return Branches(block, options, name=name)(x, train)
    case v.Residual():
      return ResidualBlock(block, options, name=name)(x, train)
    case v.Repeat():
      return RepeatedBlock(block, options, name=name)(x, train)
    case _:
      return Branch(block, options, name=name)(x, train)


class Branch(nn.Module):
  """Runs what stands in series; forks inside share the branch's scope."""

  block: v.Block
  options: ConvOptions

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
  options: ConvOptions

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    """Maps [batch, height, width, channels] to the same with other sizes."""
    outputs = [
      Branch(branch, self.options, name=f'Branch_{i}')(x, train)
      for i, branch in enumerate(self.concat.blocks)
    ]
    return jnp.concatenate(outputs, axis=-1)


class ResidualBlock(nn.Module):
  """Runs a `Residual`: branches, projection, scaled sum, ReLU.

  The parameters of the branches and of the projection `Conv2d_1x1` share one
  scope, as in TF-slim.
  """

  residual: v.Residual
  options: ConvOptions

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    """Maps [batch, height, width, channels] to the same shape."""
    branches = Branches(self.residual.branches, self.options)
    nn.share_scope(self, branches)
    change = nn.Conv(
      x.shape[-1],
      (1, 1),
      dtype=self.options.dtype,
      kernel_init=self.options.kernel_init,
      name='Conv2d_1x1',
    )(branches(x, train))
    x = x + self.residual.scale * change
    return nn.relu(x) if self.residual.relu else x


class RepeatedBlock(nn.Module):
  """Runs a `Repeat`: equal residual blocks in series."""

  repeat: v.Repeat
  options: ConvOptions

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    """Maps [batch, height, width, channels] to the same shape."""
    for i in range(1, self.repeat.times + 1):
      name = f'{self.repeat.name}_{i}'
      x = ResidualBlock(self.repeat.block, self.options, name=name)(x, train)
    return x


def _convolution(
  name: str, block: v.Conv | v.SeparableConv, options: ConvOptions
) -> ConvUnit | SeparableConvUnit:
  if isinstance(block, v.Conv):
    return ConvUnit(block, options, name=name)
  return SeparableConvUnit(block, options, name=name)

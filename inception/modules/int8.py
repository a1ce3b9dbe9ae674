"""How a table runs in int8: integers in and out of every convolution.

The network has no batch norm (see folding.py). Branches that are concatenated
share a scale, so concatenation copies bytes.
"""

from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

from inception.modules import blocks, heads, pooling
from inception.modules.int8_layers import (
  Activation,
  ConvUnit,
  Dense,
  Grid,
  SeparableConvUnit,
  grid,
  pool,
  same_grid,
)
from inception.modules.network import Network, Outputs
from inception.modules.options import Options
from inception.spec import scopes, transforms
from inception.spec import vocabulary as v
from inception.spec.scopes import Scoped

Array = jax.Array


class QuantizedNetwork(nn.Module):
  """A network whose variables say which layers are in int8.

  A kernel with a `kernel_scale` is int8; a tensor with a value in the
  collection 'scales' is rounded to int8. Without any, this is the network with
  folded batch norm in float32, which can observe its tensors: with a mutable
  collection 'histograms', it adds their histograms to it.

  Attributes:
    architecture: The table to run, without batch norm.
    num_classes: Logits per image.
    options: How layers in float32 compute.
    head_pooling: A name in `heads.HEAD_POOLINGS`.
    activation: As that of `Network`.
    integers: False computes with the same integers, but in float32: slower, and
      right on any device.
  """

  architecture: v.Architecture
  num_classes: int
  options: Options
  head_pooling: str = 'average'
  activation: str = 'softmax'
  integers: bool = True

  @nn.compact
  def __call__(self, images: Array, *, endpoints: bool = False) -> Outputs:
    """Classifies images.

    Args:
      images: Normalized, float32 [batch, height, width, 3].
      endpoints: Also return the output of every stage, as real numbers.

    Returns:
      See `Outputs`.
    """
    x = grid(self, 'images')(images)
    outputs = {}
    for stage in self.architecture.stages:
      node = scopes.scope_stage(stage.name, stage.block)
      x = run(self, node, x)
      if endpoints:
        outputs[stage.name] = x.real()
    head = Classifier(
      self.architecture.bottleneck,
      self.head_pooling,
      self.options,
      self.integers,
      name='Logits',
    )
    logits, features = head(x)
    if endpoints:
      outputs['PreLogits'] = features
    return Outputs(logits, endpoints=outputs)


def make_quantized(model: Network, integers: bool = True) -> QuantizedNetwork:
  """Makes the network that runs the same table in int8.

  Args:
    model: The network in float32.
    integers: See `QuantizedNetwork`.
  """
  return QuantizedNetwork(
    transforms.without_batch_norm(model.architecture),
    model.num_classes,
    model.options,
    model.head_pooling,
    model.activation,
    integers,
  )


def run(
  module: Any, node: Scoped, x: Activation, out: Grid | None = None
) -> Activation:
  """Runs a block inside a module, as `blocks.run` does.

  Args:
    module: The calling module, with `options` and `integers`.
    node: The block, with the scopes of everything inside.
    x: Its input.
    out: What its output is rounded to; None: a scale of its own.
  """
  fields = (module.options, module.integers)
  match node.block:
    case v.Conv():
      return ConvUnit(node.block, *fields, name=node.name)(x, out)
    case v.SeparableConv():
      unit = SeparableConvUnit(node.block, module.options, name=node.name)
      return unit(x, out)
    case v.SqueezeExcite():
      gate = blocks.SqueezeExcite(node.block, module.options, name=node.name)
      return (out or same_grid(x))(gate(x.real()))
    case v.MaxPool() | v.AvgPool():
      return pool(node.block, x, out)
    case v.LocalResponseNorm():
      norm = pooling.local_response_norm(x.real(), node.block)
      return (out or grid(module, 'norm'))(norm)
  if node.name:
    return Block(node, *fields, name=node.name)(x, out)
  return _run_parts(module, node, x, out)


class Block(nn.Module):
  """Runs the parts of a block in a scope of their own."""

  node: Scoped
  options: Options
  integers: bool

  @nn.compact
  def __call__(self, x: Activation, out: Grid | None) -> Activation:
    """See `run`."""
    return _run_parts(self, self.node, x, out)


def _run_parts(
  module: nn.Module, node: Scoped, x: Activation, out: Grid | None
) -> Activation:
  match node.block:
    case v.Chain() | v.Gated() | v.Repeat():
      *first, last = node.parts
      for part in first:
        x = run(module, part, x)
      return run(module, last, x, out)
    case v.Concat():
      out = out or grid(module, 'concat')
      outputs = [run(module, part, x, out) for part in node.parts]
      values = jnp.concatenate([output.values for output in outputs], axis=-1)
      return Activation(values, outputs[0].scale)
    case v.Residual(scale=scale, relu=relu):
      branches, *others = scopes.residual_parts(node, x.values.shape[-1])
      change = run(module, branches, x)
      for part in others:  # The change is small: not rounded before the sum.
        change = run(module, part, change, Activation)
      total = x.real() + scale * change.real()
      total = nn.relu(total) if relu else total
      return (out or grid(module, 'sum'))(total)
  raise TypeError(f'{node.block!r} does not run in int8')


class Classifier(nn.Module):
  """From the last grid to float32 logits; the last layer may be in int8."""

  bottleneck: int | None
  pooling: str
  options: Options
  integers: bool

  @nn.compact
  def __call__(self, x: Activation) -> tuple[Array, Array]:
    """Maps [batch, height, width, channels] to logits and features."""
    features = heads.HEAD_POOLINGS[self.pooling](x.real())
    if self.bottleneck is not None:
      bottleneck = heads.Bottleneck(
        self.bottleneck, self.options, name='Bottleneck'
      )
      features = bottleneck(features, False)
    classify = Dense(self.integers, name='Logits')
    return classify(grid(self, 'features')(features)), features

"""Runs the units of `spec.fused`: convolutions with what belongs to them.

Batch norm is x * a + b with a and b per channel; with moving statistics, a is
multiplied into the kernel.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import functools
import itertools
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp

from inception.modules import pooling
from inception.modules.convolution import convolve
from inception.modules.options import Options
from inception.spec import fused, shapes
from inception.spec import vocabulary as v

Array = jax.Array


@dataclasses.dataclass(frozen=True)
class Scope:
  """The variables of a network, or of one block of a `Loop`.

  Attributes:
    params: Tree of parameters.
    stats: Tree of moving statistics.
    options: How layers compute.
    train: Use the statistics of the batch and update the moving ones.
    updated: Tree of new moving statistics, which running fills.
  """

  params: Mapping[str, Any]
  stats: Mapping[str, Any]
  options: Options
  train: bool
  updated: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Raw:
  """What a unit returns before it is scaled, shifted and perhaps rectified.

  Attributes:
    values: [batch, height, width, out], of the convolution or pooling.
    scale: float32 [out], or None for 1.
    offset: float32 [out].
    relu: A ReLU follows.
  """

  values: Array
  scale: Array | None
  offset: Array
  relu: bool

  @property
  def kind(self) -> tuple[bool, bool]:
    """Values of one kind can be finished together."""
    return self.scale is None, self.relu


def run_units(units: Sequence[fused.Unit], scope: Scope, x: Array) -> list[Raw]:
  """Runs units that read one input.

  Several units have equal kernel sizes and strides, and run as one convolution.
  """
  layers = [_prepare(unit, scope) for unit in units]
  kernel = jnp.concatenate([layer.kernel for layer in layers], axis=-1)
  x = _convolve(units[0].conv, scope, x, kernel, layers[0].depthwise)
  ends = itertools.accumulate(layer.kernel.shape[-1] for layer in layers)
  parts = jnp.split(x, list(ends)[:-1], axis=-1)
  return [
    _normalize(unit, layer, scope, part)
    for unit, layer, part in zip(units, layers, parts)
  ]


@dataclasses.dataclass(frozen=True)
class _Layer:
  """The numbers of a unit.

  Attributes:
    kernel: float32 [height, width, in, out]; the second of a separable one.
    depthwise: float32 [height, width, 1, inner], or None.
    scale: float32 [out], of batch norm that uses the batch, or None.
    offset: float32 [out].
    sign: float32 [out], what the kernel was multiplied by; None for 1.
  """

  kernel: Array
  depthwise: Array | None
  scale: Array | None
  offset: Array
  sign: Array | None


def _prepare(unit: fused.Unit, scope: Scope) -> _Layer:
  params = part_at(scope.params, unit.path)
  kernel, depthwise = params['kernel'], params.get('depthwise_kernel')
  if not unit.conv.batch_norm:
    return _Layer(kernel, depthwise, None, params['bias'], None)
  norm = params['BatchNorm']
  scale = norm.get('scale', jnp.ones_like(norm['bias']))
  if not scope.train:
    stats = part_at(scope.stats, unit.path)['BatchNorm']
    epsilon = scope.options.batch_norm_epsilon
    scale = scale * lax.rsqrt(stats['var'] + epsilon)
    offset = norm['bias'] - stats['mean'] * scale
    return _Layer(kernel * scale, depthwise, None, offset, None)
  sign = None
  if unit.maximum and 'scale' in norm:
    # A maximum commutes with a batch norm whose scale is not negative. Zero
    # keeps its sign, so that the gradient of the scale is right there too.
    sign = jnp.where(scale < 0, -1.0, 1.0)
    kernel, scale = kernel * sign, scale * sign
  return _Layer(kernel, depthwise, scale, norm['bias'], sign)


def _convolve(
  conv: v.Conv | v.SeparableConv,
  scope: Scope,
  x: Array,
  kernel: Array,
  depthwise: Array | None,
) -> Array:
  pads = shapes.pads(conv, *x.shape[1:3])
  options = scope.options
  if depthwise is None:
    return convolve(x, kernel, conv.stride, pads, options)
  x = convolve(x, depthwise, conv.stride, pads, options, groups=x.shape[-1])
  return convolve(x, kernel, 1, ((0, 0), (0, 0)), options)


def _normalize(unit: fused.Unit, layer: _Layer, scope: Scope, x: Array) -> Raw:
  """Runs what follows the convolution of a unit, but not its last steps."""
  if unit.average:
    x = pooling.avg_pool(x, unit.average)
  scale, offset = layer.scale, layer.offset
  if scale is not None:
    mean, variance = _statistics(x, scope.options.batch_norm_axis)
    _update(unit, layer, scope, mean, variance)
    scale *= lax.rsqrt(variance + scope.options.batch_norm_epsilon)
    offset -= mean * scale
  if unit.maximum:
    x = pooling.max_pool(x, unit.maximum)
  relu = isinstance(unit.conv, v.SeparableConv) or unit.conv.relu
  return Raw(x, scale, offset, relu)


def _statistics(x: Array, axis_name: str | None) -> tuple[Array, Array]:
  """Returns mean and variance of every channel, float32, as Flax does."""
  x = x.astype(jnp.float32)
  mean, square = (jnp.mean(y, axis=(0, 1, 2)) for y in (x, jnp.square(x)))
  if axis_name is not None:
    mean, square = lax.pmean(jnp.stack([mean, square]), axis_name)
  return mean, jnp.maximum(0, square - jnp.square(mean))


def _update(
  unit: fused.Unit, layer: _Layer, scope: Scope, mean: Array, variance: Array
) -> None:
  """Moves the statistics of a unit towards those of a batch."""
  if layer.sign is not None:
    mean *= layer.sign
  path = (*unit.path, 'BatchNorm')
  decay = scope.options.batch_norm_decay
  news = {'mean': mean, 'var': variance}
  put_at(
    scope.updated,
    path,
    {
      name: decay * old + (1 - decay) * news[name]
      for name, old in part_at(scope.stats, path).items()
    },
  )


def part_at(tree: Mapping[str, Any], path: fused.Path) -> Any:
  """Returns the part of a tree at a path; {} where there is none."""
  return functools.reduce(lambda part, name: part.get(name, {}), path, tree)


def put_at(tree: dict[str, Any], path: fused.Path, value: Any) -> None:
  """Puts a value at a path of a tree."""
  *scopes, last = path
  for name in scopes:
    tree = tree.setdefault(name, {})
  tree[last] = value

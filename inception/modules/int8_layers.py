"""Layers in int8: convolutions, fully connected layers, pooling.

A convolution sums in int32; scaling, bias, ReLU and rounding are one loop after
it. See rounding.py.
"""

from collections.abc import Callable
import functools
from typing import Any

from flax import linen as nn
from flax import struct
import jax
from jax import lax
import jax.numpy as jnp

from inception.modules import histogram, pooling, slices
from inception.modules.convolution import convolve
from inception.modules.options import Options
from inception.modules.rounding import LARGEST, quantize
from inception.spec import shapes
from inception.spec import vocabulary as v

Array = jax.Array


@struct.dataclass
class Activation:
  """A tensor: integers and their scale, or real numbers.

  Attributes:
    values: [batch, height, width, channels], int8, or float32 without a scale.
    scale: float32 scalar; None for real numbers.
  """

  values: Array
  scale: Array | None = None

  def real(self) -> Array:
    """Returns real numbers, float32."""
    if self.scale is None:
      return self.values
    return self.values.astype(jnp.float32) * self.scale


# Rounds real numbers to the scale of one tensor.
Grid = Callable[[Array], Activation]


def grid(module: nn.Module, name: str) -> Grid:
  """Returns what rounds a tensor to the scale `name` of a module's scope.

  Where there is no such scale, it observes the tensor and changes nothing.
  """
  if module.has_variable('scales', name):
    scale: Array = module.get_variable('scales', name)
    return lambda x: Activation(quantize(x, scale), scale)

  def observe(x: Array) -> Activation:
    if module.is_mutable_collection('histograms'):
      module.sow(
        'histograms',
        name,
        histogram.of(x),
        reduce_fn=histogram.total,
        init_fn=histogram.empty,
      )
    return Activation(x)

  return observe


# Channels of the narrowest convolutions that XLA on CPUs computes fast.
_NARROW = 20


class ConvUnit(nn.Module):
  """Runs a `Conv`, in int8 where its kernel is."""

  conv: v.Conv
  options: Options
  integers: bool

  @nn.compact
  def __call__(self, x: Activation, out: Grid | None) -> Activation:
    """Maps [batch, height, width, in] to [batch, height, width, out]."""
    params = self.variables['params']
    stride = self.conv.stride
    pads = shapes.pads(self.conv, *x.values.shape[1:3])
    if 'kernel_scale' not in params:
      y = convolve(x.real(), params['kernel'], stride, pads, self.options)
    else:
      y = self._convolve_int8(x, params, stride, pads)
    y += params['bias']
    return (out or grid(self, 'output'))(nn.relu(y) if self.conv.relu else y)

  def _convolve_int8(
    self, x: Activation, params: Any, stride: int, pads: shapes.Pads
  ) -> Array:
    """Returns the sum of products as real numbers."""
    values, kernel = _operands(x, params['kernel'], self.integers)
    channels, outputs = kernel.shape[-2:]
    # Instructions for int8 read four channels at a time; images have three.
    more = -channels % 4
    # XLA on CPUs leaves convolutions that are narrow on both sides to code that
    # takes fifty times as long.
    wider = _NARROW - outputs if max(channels, outputs) < _NARROW else 0
    sums = lax.conv_general_dilated(
      jnp.pad(values, ((0, 0), (0, 0), (0, 0), (0, more))),
      jnp.pad(kernel, ((0, 0), (0, 0), (0, more), (0, wider))),
      (stride, stride),
      pads,
      dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
      precision=lax.Precision.HIGHEST,
      preferred_element_type=jnp.int32 if self.integers else jnp.float32,
    )
    sums = sums[..., :outputs].astype(jnp.float32)
    return sums * (x.scale * params['kernel_scale'])


class SeparableConvUnit(nn.Module):
  """Runs a `SeparableConv` in float32: few networks have one, as their first.

  Its depthwise part has few products per value, so int8 would gain little.
  """

  conv: v.SeparableConv
  options: Options

  @nn.compact
  def __call__(self, x: Activation, out: Grid | None) -> Activation:
    """Maps [batch, height, width, in] to [batch, height, width, out]."""
    params, real = self.variables['params'], x.real()
    pads = shapes.pads(self.conv, *real.shape[1:3])
    y = convolve(
      real,
      params['depthwise_kernel'],
      self.conv.stride,
      pads,
      self.options,
      groups=real.shape[-1],
    )
    y = convolve(y, params['kernel'], 1, ((0, 0), (0, 0)), self.options)
    return (out or grid(self, 'output'))(nn.relu(y + params['bias']))


class Dense(nn.Module):
  """A fully connected layer, in int8 where its kernel is."""

  integers: bool

  @nn.compact
  def __call__(self, x: Activation) -> Array:
    """Maps [batch, in] to float32 [batch, out]."""
    params = self.variables['params']
    if 'kernel_scale' not in params:
      y = jnp.matmul(
        x.real(), params['kernel'], precision=lax.Precision.HIGHEST
      )
      return y + params['bias']
    sums = jnp.matmul(
      *_operands(x, params['kernel'], self.integers),
      precision=lax.Precision.HIGHEST,
      preferred_element_type=jnp.int32 if self.integers else jnp.float32,
    )
    y = sums.astype(jnp.float32) * (x.scale * params['kernel_scale'])
    return y + params['bias']


def _operands(
  x: Activation, kernel: Array, integers: bool
) -> tuple[Array, Array]:
  """Returns integers as int8, or as the same numbers in float32."""
  if integers:
    return x.values, kernel
  return x.values.astype(jnp.float32), kernel.astype(jnp.float32)


def same_grid(x: Activation) -> Grid:
  """Returns what rounds to the scale of `x`."""
  scale = x.scale
  if scale is None:
    return Activation
  return lambda y: Activation(quantize(y, scale), scale)


def pool(
  layer: v.MaxPool | v.AvgPool, x: Activation, out: Grid | None
) -> Activation:
  """Pools, and rounds to `out` where it is given."""
  match layer, x.scale:
    case v.MaxPool(), None:
      values = pooling.max_pool(x.values, layer)
    case v.AvgPool(), None:
      values = pooling.avg_pool(x.values, layer)
    case v.MaxPool(), _:
      windows = slices.windows(x.values, layer, -LARGEST - 1)
      values = functools.reduce(jnp.maximum, windows)
    case _:
      values = _average(x.values, layer)
  pooled = Activation(values, x.scale)
  return pooled if out is None else out(pooled.real())


def _average(x: Array, pool: v.AvgPool) -> Array:
  """Averages int8 [batch, height, width, channels] in integers."""
  counts = slices.counts(x, pool)
  # Rounded fractions with 16 bits behind the point.
  factor = (2**16 + counts // 2) // counts
  parts = (part.astype(jnp.int32) for part in slices.windows(x, pool, 0))
  sums = functools.reduce(jnp.add, parts)
  return ((sums * factor + 2**15) >> 16).astype(jnp.int8)

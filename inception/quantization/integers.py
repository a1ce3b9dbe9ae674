"""How the words of a table compute in int8: integers in and out.

A convolution sums in int32; scaling, bias, ReLU and rounding are one loop after
it. The consumer of an output determines its scale: the branches of a block
share one, so concatenating them only copies bytes. See modules/rounding.py.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import functools
from typing import Any, Self

from flax import struct
import jax
from jax import lax
import jax.numpy as jnp

from inception.modules import floats, slices
from inception.modules.convolution import convolve
from inception.modules.interpreter import part_at, put_at
from inception.modules.options import Options
from inception.modules.relu import relu
from inception.modules.rounding import LARGEST, quantize
from inception.quantization import histogram
from inception.spec import shapes
from inception.spec import vocabulary as v
from inception.spec.words import Fork, Path, Plain, Shortcut, Unit, Word

Array = jax.Array

# XLA on CPUs is slow at convolutions with fewer input and output channels.
_NARROW = 20


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


@dataclasses.dataclass(frozen=True)
class Integers:
  """`interpreter.Numbers` in int8, where the variables say so.

  A kernel with a `kernel_scale` is int8. A tensor with a value in 'scales' is
  rounded to int8; any other stays as it is.

  Attributes:
    variables: 'params' without batch norm and 'scales', from the scope on.
    options: How layers in float32 compute.
    exact: False computes with the same integers, but in float32: slower, but
      correct on any device.
    observes: Collect histograms of tensors without a scale.
    updated: Histograms of the observed tensors.
  """

  variables: Mapping[str, Any]
  options: Options
  exact: bool = True
  observes: bool = False
  updated: dict[str, Any] = dataclasses.field(default_factory=dict)

  @property
  def repeats(self) -> bool:
    """False: there is no gradient."""
    return False

  def inside(self, variables: Mapping[str, Any]) -> Self:
    """Returns the same for other variables, with nothing updated."""
    return dataclasses.replace(self, variables=variables, updated={})

  def convolve(self, units: Sequence[Unit], x: Activation) -> list[Activation]:
    """Runs one unit; the result is not rounded."""
    (unit,) = units
    params = part_at(self.variables['params'], unit.path)
    match unit.conv:
      case v.SeparableConv():
        y = self._separable(unit.conv, params, x.real())
        is_linear = False
      case v.Conv():
        y = self._convolve(unit.conv, params, x)
        is_linear = not unit.conv.relu
    y += params['bias']
    return [Activation(y if is_linear else relu(y))]

  def apply(self, word: Plain, x: Activation) -> Activation:
    """Pools integers, and runs any other operation on real numbers."""
    match word.block:
      case v.MaxPool() if x.scale is not None:
        windows = slices.windows(x.values, word.block, -LARGEST - 1)
        return Activation(functools.reduce(jnp.maximum, windows), x.scale)
      case v.AvgPool() if x.scale is not None:
        return Activation(_average(x.values, word.block), x.scale)
    real = floats.Floats(self.variables, self.options, train=False)
    y = real.apply(word, x.real())
    if x.scale is None or isinstance(word.block, v.LocalResponseNorm):
      return Activation(y)
    # The output of an average or a gate is never larger than its input.
    return Activation(quantize(y, x.scale), x.scale)

  def add(
    self, word: Shortcut, x: Activation, residual: Activation
  ) -> Activation:
    """Adds in float32: the residual is small, so it is not rounded first."""
    if word.gate:
      residual = self.apply(word.gate, residual)
    total = x.real() + word.block.scale * residual.real()
    return Activation(relu(total) if word.block.relu else total)

  def finish(self, word: Word, parts: Sequence[Activation]) -> Activation:
    """Rounds the parts that a word returned, and concatenates them."""
    match word:
      case Fork():
        rounded = [
          self.round(part.real(), *word.path, 'concat') for part in parts
        ]
        values = jnp.concatenate([part.values for part in rounded], axis=-1)
        return Activation(values, rounded[0].scale)
      case Unit():
        return self.round(parts[0].values, *word.path, 'output')
      case Shortcut():
        total = self.round(parts[0].values, *word.path, 'sum')
        return floats.computed_once(total)
      case Plain(block=v.LocalResponseNorm()):
        return self.round(parts[0].values, *word.path, 'norm')
    return parts[0]

  def round(self, x: Array, *path: str) -> Activation:
    """Rounds numbers to the scale at a path; observes them if it has none."""
    scale = part_at(self.variables.get('scales', {}), path)
    if not isinstance(scale, Mapping):
      return Activation(quantize(x, scale), scale)
    if self.observes:
      seen = [histogram.of(x)]
      if before := part_at(self.updated, path):
        seen.append(before)
      put_at(self.updated, path, histogram.total(*seen))
    return Activation(x)

  def dense(self, x: Activation, path: Path) -> Array:
    """Applies a fully connected layer: [batch, in] to float32 [batch, out]."""
    params = part_at(self.variables['params'], path)
    if 'kernel_scale' not in params:
      y = jnp.matmul(
        x.real(), params['kernel'], precision=lax.Precision.HIGHEST
      )
      return y + params['bias']
    sums = jnp.matmul(
      *self._operands(x.values, params['kernel']),
      precision=lax.Precision.HIGHEST,
      preferred_element_type=self._sums,
    )
    y = sums.astype(jnp.float32) * (x.scale * params['kernel_scale'])
    return y + params['bias']

  def _convolve(self, conv: v.Conv, params: Any, x: Activation) -> Array:
    """Convolves, on integers if the kernel is int8; returns float32."""
    stride, pads = conv.stride, shapes.pads(conv, *x.values.shape[1:3])
    if 'kernel_scale' not in params:
      return convolve(x.real(), params['kernel'], stride, pads, self.options)
    values, kernel = self._operands(x.values, params['kernel'])
    channels, outputs = kernel.shape[-2:]
    # int8 instructions read four channels at a time; images have three.
    more = -channels % 4
    # On CPUs, XLA takes fifty times as long for convolutions that are narrow on
    # both sides.
    wider = _NARROW - outputs if max(channels, outputs) < _NARROW else 0
    sums = lax.conv_general_dilated(
      jnp.pad(values, ((0, 0), (0, 0), (0, 0), (0, more))),
      jnp.pad(kernel, ((0, 0), (0, 0), (0, more), (0, wider))),
      (stride, stride),
      pads,
      dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
      precision=lax.Precision.HIGHEST,
      preferred_element_type=self._sums,
    )
    sums = sums[..., :outputs].astype(jnp.float32)
    return sums * (x.scale * params['kernel_scale'])

  def _separable(self, conv: v.SeparableConv, params: Any, x: Array) -> Array:
    # In float32: few networks have one, as their first convolution, and its
    # depthwise part has few products per value, so int8 would gain little.
    pads, groups = shapes.pads(conv, *x.shape[1:3]), x.shape[-1]
    kernel = params['depthwise_kernel']
    x = convolve(x, kernel, conv.stride, pads, self.options, groups)
    return convolve(x, params['kernel'], 1, ((0, 0), (0, 0)), self.options)

  @property
  def _sums(self) -> Any:
    return jnp.int32 if self.exact else jnp.float32

  def _operands(self, *integers: Array) -> Sequence[Array]:
    """Returns integers as int8, or as the same numbers in float32."""
    if self.exact:
      return integers
    return [x.astype(jnp.float32) for x in integers]


def _average(x: Array, pool: v.AvgPool) -> Array:
  """Averages int8 [batch, height, width, channels] in integers."""
  counts = slices.counts(x, pool)
  # Rounded reciprocals with 16 fractional bits.
  factor = (2**16 + counts // 2) // counts
  parts = (part.astype(jnp.int32) for part in slices.windows(x, pool, 0))
  sums = functools.reduce(jnp.add, parts)
  return ((sums * factor + 2**15) >> 16).astype(jnp.int8)

"""The words of a table on floats: convolutions with batch norm.

Batch norm is x * a + b, with a and b per channel. With moving statistics, a is
folded into the kernel; with batch statistics, x * a + b is applied after the
branches of a block are concatenated.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import itertools
from typing import Any, Self

from flax import linen as nn
import jax
from jax import lax
import jax.numpy as jnp

from inception.modules import pending, pooling, rounding
from inception.modules.convolution import cast, convolve
from inception.modules.interpreter import part_at, put_at
from inception.modules.options import Options
from inception.modules.pending import Pending
from inception.modules.relu import relu
from inception.spec import shapes
from inception.spec import vocabulary as v
from inception.spec.words import Path, Plain, Shortcut, Unit, Word

Array = jax.Array


@dataclasses.dataclass(frozen=True)
class Floats:
  """`interpreter.Numbers` in `options.dtype`.

  Attributes:
    variables: 'params' and 'batch_stats' of the scope.
    options: How layers compute.
    train: Use batch statistics and update the moving ones.
    updated: New moving statistics, filled in as words run.
  """

  variables: Mapping[str, Any]
  options: Options
  train: bool
  updated: dict[str, Any] = dataclasses.field(default_factory=dict)

  @property
  def repeats(self) -> bool:
    """True if the backward pass recomputes the inside of blocks."""
    return self.options.remat and self.train

  def inside(self, variables: Mapping[str, Any]) -> Self:
    """Returns a copy with other variables and nothing updated."""
    return dataclasses.replace(self, variables=variables, updated={})

  def convolve(self, units: Sequence[Unit], x: Array) -> list[Pending]:
    """Runs units that read the same input as one convolution."""
    layers = [self._layer(unit) for unit in units]
    kernel = jnp.concatenate([layer.kernel for layer in layers], axis=-1)
    conv, depthwise = units[0].conv, layers[0].depthwise
    pads = shapes.pads(conv, *x.shape[1:3])
    if depthwise is None:
      if self._rounds:
        x = rounding.round_activation(x, self.options.batch_norm_axis)
      x = convolve(x, kernel, conv.stride, pads, self.options)
    else:
      groups = x.shape[-1]
      x = convolve(x, depthwise, conv.stride, pads, self.options, groups)
      x = convolve(x, kernel, 1, ((0, 0), (0, 0)), self.options)
    ends = itertools.accumulate(layer.kernel.shape[-1] for layer in layers)
    parts = jnp.split(x, list(ends)[:-1], axis=-1)
    return [
      self._normalize(unit, layer, part)
      for unit, layer, part in zip(units, layers, parts)
    ]

  def apply(self, word: Plain, x: Array) -> Array:
    """Runs a pooling, a local response norm or a squeeze-excite."""
    match word.block:
      case v.MaxPool():
        return pooling.max_pool(x, word.block)
      case v.AvgPool():
        return pooling.avg_pool(x, word.block)
      case v.AdaptiveAvgPool():
        return pooling.adaptive_avg_pool(x, word.block)
      case v.LocalResponseNorm():
        return pooling.local_response_norm(x, word.block)
      case v.SqueezeExcite():
        params = part_at(self.variables['params'], word.path)
        return _squeeze_excite(x, params, self.options)
    raise TypeError(f'{word.block!r} does not run on floats')

  def add(self, word: Shortcut, x: Array, residual: Pending) -> Array:
    """Adds the scaled output of a residual block to its input."""
    y = pending.finish([residual], self.options.dtype)
    if word.gate:
      y = self.apply(word.gate, y)
    x = x + word.block.scale * y
    x = relu(x) if word.block.relu else x
    return x if self.train else computed_once(x)

  def finish(self, word: Word, parts: Sequence[Array | Pending]) -> Array:
    """Finishes and concatenates parts."""
    del word
    return pending.join(parts, self.options.dtype, self.train)

  @property
  def _rounds(self) -> bool:
    return self.train and self.options.quantization_aware

  def _layer(self, unit: Unit) -> '_Layer':
    params = part_at(self.variables['params'], unit.path)
    kernel, depthwise = params['kernel'], params.get('depthwise_kernel')
    if self._rounds and depthwise is None:
      kernel = rounding.round_kernel(kernel)
    if not unit.conv.batch_norm:
      return _Layer(kernel, depthwise, None, params['bias'])
    norm = params['BatchNorm']
    scale = norm.get('scale', jnp.ones_like(norm['bias']))
    if not self.train:
      stats = self._statistics_at(unit.path)
      scale = scale * lax.rsqrt(stats['var'] + self.options.batch_norm_epsilon)
      offset = norm['bias'] - stats['mean'] * scale
      return _Layer(kernel * scale, depthwise, None, offset)
    if not unit.maximum or 'scale' not in norm:
      return _Layer(kernel, depthwise, scale, norm['bias'])
    # A maximum may run before a scale only if the scale is not negative:
    # scale * x = |scale| * (sign * x), and the sign moves into the kernel. Zero
    # counts as positive, to make the gradient of the scale correct there.
    sign = jnp.where(scale < 0, -1.0, 1.0)
    return _Layer(kernel * sign, depthwise, scale * sign, norm['bias'], sign)

  def _normalize(self, unit: Unit, layer: '_Layer', x: Array) -> Pending:
    """Runs a unit after its convolution, up to the scale, offset and ReLU."""
    if unit.average:
      x = pooling.avg_pool(x, unit.average)
    scale, offset = layer.scale, layer.offset
    if scale is not None:
      mean, variance = _moments(x, self.options.batch_norm_axis)
      self._update(unit, layer, mean, variance)
      scale *= lax.rsqrt(variance + self.options.batch_norm_epsilon)
      offset -= mean * scale
    if unit.maximum:
      x = pooling.max_pool(x, unit.maximum)
    relu = isinstance(unit.conv, v.SeparableConv) or unit.conv.relu
    return Pending(x, scale, offset, relu)

  def _update(
    self, unit: Unit, layer: '_Layer', mean: Array, variance: Array
  ) -> None:
    """Updates the moving statistics of a unit from those of a batch."""
    if layer.sign is not None:
      mean *= layer.sign
    decay = self.options.batch_norm_decay
    news = {'mean': mean, 'var': variance}
    moved = {
      name: decay * old + (1 - decay) * news[name]
      for name, old in self._statistics_at(unit.path).items()
    }
    put_at(self.updated, (*unit.path, 'BatchNorm'), moved)

  def _statistics_at(self, path: Path) -> Mapping[str, Array]:
    return part_at(self.variables['batch_stats'], (*path, 'BatchNorm'))


def computed_once(total: Any) -> Any:
  """Returns the sum after a residual block, unchanged.

  Without this barrier, XLA on CPUs computes the sums of all earlier blocks
  again for each block. Programs for other devices have no barrier.
  """
  return lax.platform_dependent(
    total, cpu=lax.optimization_barrier, default=lambda x: x
  )


def _squeeze_excite(x: Array, params: Any, options: Options) -> Array:
  """Scales channels by a gate; SENet paper (Hu et al., 2018), section 3."""
  mean = jnp.mean(x, axis=(1, 2), dtype=jnp.float32)
  hidden = relu(_dense(mean, params['Reduce'], options))
  gate = nn.sigmoid(_dense(hidden, params['Expand'], options))
  return x * gate[:, None, None, :]


@dataclasses.dataclass(frozen=True)
class _Layer:
  """The parameters of a unit, as it runs.

  Attributes:
    kernel: float32 [height, width, in, out]; pointwise if separable.
    depthwise: float32 [height, width, 1, inner], or None.
    scale: float32 [out], of batch norm with batch statistics, or None.
    offset: float32 [out].
    sign: float32 [out], already multiplied into the kernel; None for 1.
  """

  kernel: Array
  depthwise: Array | None
  scale: Array | None
  offset: Array
  sign: Array | None = None


def _moments(x: Array, axis_name: str | None) -> tuple[Array, Array]:
  """Returns mean and variance of every channel, float32, as Flax does."""
  x = x.astype(jnp.float32)
  mean, square = (jnp.mean(y, axis=(0, 1, 2)) for y in (x, jnp.square(x)))
  if axis_name is not None:
    mean, square = lax.pmean(jnp.stack([mean, square]), axis_name)
  return mean, jnp.maximum(0, square - jnp.square(mean))


def _dense(x: Array, params: Any, options: Options) -> Array:
  """Runs a fully connected layer on [batch, in]."""
  dtype, precision = options.dtype, options.matmul_precision
  y = jnp.matmul(
    cast(x, dtype), cast(params['kernel'], dtype), precision=precision
  )
  return y + cast(params['bias'], dtype)

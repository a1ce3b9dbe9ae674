"""The convolution unit of the family: convolution, batch norm or bias, ReLU."""

from flax import linen as nn
import jax
from jax import lax
import jax.numpy as jnp

from inception.modules import rounding
from inception.modules.conv_gradient import convolution
from inception.modules.options import Options
from inception.spec import shapes
from inception.spec import vocabulary as v

Array = jax.Array


class ConvUnit(nn.Module):
  """Runs a `Conv` of the table.

  Parameters: `kernel` [height, width, in, out] and `bias` [out] or `BatchNorm`.
  """

  conv: v.Conv
  options: Options

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    """Maps [batch, height, width, in] to [batch, height, width, out]."""
    conv, options = self.conv, self.options
    kernel = _kernels(self, x)['kernel']
    if train and options.quantization_aware:
      kernel = rounding.round_kernel(kernel)
      x = rounding.round_activation(x, options.batch_norm_axis)
    pads = shapes.pads(conv, *x.shape[1:3])
    x = convolve(x, kernel, conv.stride, pads, options)
    x = _norm_or_bias(self, x, train)
    return nn.relu(x) if conv.relu else x


class SeparableConvUnit(nn.Module):
  """Runs a `SeparableConv` of the table.

  Parameters: `depthwise_kernel` [height, width, 1, in * multiplier], `kernel`
  [1, 1, in * multiplier, out] and `bias` [out] or `BatchNorm`.
  """

  conv: v.SeparableConv
  options: Options

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    """Maps [batch, height, width, in] to [batch, height, width, out]."""
    conv, options = self.conv, self.options
    kernels = _kernels(self, x)
    pads = shapes.pads(conv, *x.shape[1:3])
    depthwise = kernels['depthwise_kernel']
    x = convolve(x, depthwise, conv.stride, pads, options, groups=x.shape[-1])
    x = convolve(x, kernels['kernel'], 1, ((0, 0), (0, 0)), options)
    return nn.relu(_norm_or_bias(self, x, train))


def convolve(
  x: Array,
  kernel: Array,
  stride: int,
  pads: shapes.Pads,
  options: Options,
  groups: int = 1,
) -> Array:
  """Convolves NHWC images with an HWIO kernel in `options.dtype`."""
  x, kernel = cast(x, options.dtype), cast(kernel, options.dtype)
  if groups == 1:
    return convolution(x, kernel, stride, pads, options.matmul_precision)
  return lax.conv_general_dilated(
    x,
    kernel,
    (stride, stride),
    pads,
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    feature_group_count=groups,
    precision=options.matmul_precision,
  )


def cast(x: Array, dtype: jnp.dtype) -> Array:
  """Casts only where the type differs.

  A cast to the same type would hide a kernel from libraries that replace it by
  a quantized one.
  """
  return x if x.dtype == dtype else x.astype(dtype)


def _kernels(unit: ConvUnit | SeparableConvUnit, x: Array) -> dict[str, Array]:
  """Makes or reads the kernels of a unit that reads `x`."""
  init = unit.options.kernel_init
  height, width, channels = x.shape[1:]
  named = shapes.kernel_shapes(unit.conv, (height, width, channels))
  return {name: unit.param(name, init, shape) for name, shape in named.items()}


def _norm_or_bias(
  unit: ConvUnit | SeparableConvUnit, x: Array, train: bool
) -> Array:
  """Applies batch norm, or a bias where there is none, in the unit's scope."""
  if unit.conv.batch_norm:
    return batch_norm(unit.options, train)(x)
  bias = unit.param('bias', nn.initializers.zeros, x.shape[-1:])
  return x + cast(bias, unit.options.dtype)


def batch_norm(options: Options, train: bool) -> nn.BatchNorm:
  """Makes the batch norm of a layer, in scope `BatchNorm`.

  Args:
    options: How it computes.
    train: Use and update the statistics of the batch.
  """
  return nn.BatchNorm(
    use_running_average=not train,
    momentum=options.batch_norm_decay,
    epsilon=options.batch_norm_epsilon,
    dtype=options.dtype,
    use_scale=options.batch_norm_scale,
    axis_name=options.batch_norm_axis if train else None,
    name='BatchNorm',
  )

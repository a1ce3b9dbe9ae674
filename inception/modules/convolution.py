"""The convolution unit of the family: convolution, batch norm or bias, ReLU."""

import dataclasses
from typing import Any

from flax import linen as nn
import jax
from jax import lax
import jax.numpy as jnp

from inception.architectures import vocabulary as v

Array = jax.Array


@dataclasses.dataclass(frozen=True)
class ConvOptions:
  """How every convolution of a network computes.

  Attributes:
    kernel_init: initialiser of kernels.
    dtype: of activations and of the arithmetic; parameters are float32.
    batch_norm: False gives every convolution a bias in place of batch norm.
    batch_norm_decay: share of the old moving statistics kept at each step.
    batch_norm_epsilon: added to the variance.
    batch_norm_axis: pmap axis over which statistics are synchronised, or None.
  """

  kernel_init: nn.initializers.Initializer
  dtype: Any = jnp.float32
  batch_norm: bool = True
  batch_norm_decay: float = 0.9
  batch_norm_epsilon: float = 1e-3
  batch_norm_axis: str | None = None


class ConvUnit(nn.Module):
  """Runs a `Conv` of the table.

  Parameters: `kernel` [height, width, in, out] and `bias` [out] or `BatchNorm`.
  """

  conv: v.Conv
  options: ConvOptions

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    """Maps [batch, height, width, in] to [batch, height, width, out]."""
    shape = (*v.height_width(self.conv.kernel), x.shape[-1], self.conv.features)
    kernel = self.param('kernel', self.options.kernel_init, shape)
    x = convolve(x, kernel, self.conv.stride, self.conv.padding, self.options)
    return nn.relu(_shift(self, x, train))


class SeparableConvUnit(nn.Module):
  """Runs a `SeparableConv` of the table.

  Parameters: `depthwise_kernel` [height, width, 1, in * multiplier], `kernel`
  [1, 1, in * multiplier, out] and `bias` [out] or `BatchNorm`.
  """

  conv: v.SeparableConv
  options: ConvOptions

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    """Maps [batch, height, width, in] to [batch, height, width, out]."""
    conv, init = self.conv, self.options.kernel_init
    channels = x.shape[-1]
    inner = channels * conv.depth_multiplier
    size = v.height_width(conv.kernel)
    depthwise = self.param('depthwise_kernel', init, (*size, 1, inner))
    kernel = self.param('kernel', init, (1, 1, inner, conv.features))
    x = convolve(
      x, depthwise, conv.stride, conv.padding, self.options, groups=channels
    )
    x = convolve(x, kernel, 1, 'SAME', self.options)
    return nn.relu(_shift(self, x, train))


def convolve(
  x: Array,
  kernel: Array,
  stride: int,
  padding: v.Padding,
  options: ConvOptions,
  groups: int = 1,
) -> Array:
  """Convolves NHWC images with an HWIO kernel in `options.dtype`.

  float32 means float32: without the explicit precision, TPUs would multiply in
  bfloat16 and GPUs in TensorFloat-32.
  """
  pads: str | list[tuple[int, int]] = padding
  if padding == 'SYMMETRIC':
    pads = [(size // 2, size // 2) for size in kernel.shape[:2]]
  exact = options.dtype == jnp.float32
  return lax.conv_general_dilated(
    x.astype(options.dtype),
    kernel.astype(options.dtype),
    (stride, stride),
    pads,
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    feature_group_count=groups,
    precision=lax.Precision.HIGHEST if exact else None,
  )


def _shift(unit: ConvUnit | SeparableConvUnit, x: Array, train: bool) -> Array:
  """Batch norm in the scope of the unit, or a bias where there is none."""
  options = unit.options
  if not (options.batch_norm and unit.conv.batch_norm):
    bias = unit.param('bias', nn.initializers.zeros, x.shape[-1:])
    return x + bias.astype(options.dtype)
  return nn.BatchNorm(
    use_running_average=not train,
    momentum=options.batch_norm_decay,
    epsilon=options.batch_norm_epsilon,
    dtype=options.dtype,
    axis_name=options.batch_norm_axis if train else None,
    name='BatchNorm',
  )(x)

"""The convolution unit of the family: convolution, batch norm or bias, ReLU."""

from flax import linen as nn
import jax
from jax import lax

from inception.architectures import shapes
from inception.architectures import vocabulary as v
from inception.modules.options import Options

Array = jax.Array


class ConvUnit(nn.Module):
  """Runs a `Conv` of the table.

  Parameters: `kernel` [height, width, in, out] and `bias` [out] or `BatchNorm`.

  Attributes:
    conv: what to run.
    options: how it computes.
    relu: False leaves the sum as it is.
  """

  conv: v.Conv
  options: Options
  relu: bool = True

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    """Maps [batch, height, width, in] to [batch, height, width, out]."""
    size = shapes.kernel_size(self.conv, x.shape[1], x.shape[2])
    shape = (*size, x.shape[-1], self.conv.features)
    kernel = self.param('kernel', self.options.kernel_init, shape)
    x = convolve(x, kernel, self.conv.stride, self.conv.padding, self.options)
    x = _shift(self, x, train)
    return nn.relu(x) if self.relu else x


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
  options: Options,
  groups: int = 1,
) -> Array:
  """Convolves NHWC images with an HWIO kernel in `options.dtype`."""
  pads: str | list[tuple[int, int]] = padding
  if padding == 'SYMMETRIC':
    pads = [(size // 2, size // 2) for size in kernel.shape[:2]]
  return lax.conv_general_dilated(
    x.astype(options.dtype),
    kernel.astype(options.dtype),
    (stride, stride),
    pads,
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    feature_group_count=groups,
    precision=options.precision,
  )


def _shift(unit: ConvUnit | SeparableConvUnit, x: Array, train: bool) -> Array:
  """Batch norm in the scope of the unit, or a bias where there is none."""
  options = unit.options
  if not (options.batch_norm and unit.conv.batch_norm):
    bias = unit.param('bias', nn.initializers.zeros, x.shape[-1:])
    return x + bias.astype(options.dtype)
  return batch_norm(options, train)(x)


def batch_norm(options: Options, train: bool) -> nn.BatchNorm:
  """Makes the batch norm of a layer, in scope `BatchNorm`.

  Args:
    options: how it computes.
    train: use and update the statistics of the batch.
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

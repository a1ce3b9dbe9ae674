"""Convolution in the precision that `Options` selects."""

import jax
from jax import lax
import jax.numpy as jnp

from inception.modules.conv_gradient import convolution
from inception.modules.options import Options
from inception.spec import shapes

Array = jax.Array


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
  """Casts only if the dtype differs.

  A cast to the same dtype would hide a kernel from libraries that replace it
  with a quantized one.
  """
  return x if x.dtype == dtype else x.astype(dtype)

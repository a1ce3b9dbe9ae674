"""How the layers of a network compute; the same for all of its layers."""

import dataclasses
from typing import Any

from flax import linen as nn
from jax import lax
import jax.numpy as jnp

# Arithmetic by the name that its user gives it, `config.precision`.
PRECISIONS = {
  'float32': jnp.float32,
  'bfloat16': jnp.bfloat16,
  'float16': jnp.float16,
}

# Initializers of kernels, `config.model.initializer`.
INITIALIZERS = {
  'he_normal': nn.initializers.he_normal(),
  'glorot_uniform': nn.initializers.glorot_uniform(),
  'truncated_normal': nn.initializers.truncated_normal(0.01),
}


@dataclasses.dataclass(frozen=True)
class Options:
  """How every convolution and block of a network computes.

  Attributes:
    kernel_init: Initializer of kernels.
    dtype: Type of activations and arithmetic; parameters are float32.
    batch_norm_scale: Batch norm has a scale (gamma) as well as a bias.
    batch_norm_decay: Fraction of the old moving statistics kept at each step.
    batch_norm_epsilon: Added to the variance.
    batch_norm_axis: pmap axis over which statistics are synchronized, or None.
    scan_blocks: Run equal blocks in series as one compiled loop.
    remat: Keep only what goes from stage to stage, or from one block of a
      series to the next, for the gradient, and compute the inside again.
    quantization_aware: In training, round kernels and inputs of convolutions as
      int8 does.
  """

  kernel_init: nn.initializers.Initializer
  dtype: Any
  batch_norm_scale: bool
  batch_norm_decay: float
  batch_norm_epsilon: float
  batch_norm_axis: str | None
  scan_blocks: bool
  remat: bool
  quantization_aware: bool

  @property
  def matmul_precision(self) -> lax.Precision | None:
    """Precision of matmuls and convolutions: full for float32.

    By default, TPUs would multiply float32 in bfloat16 and GPUs in
    TensorFloat-32.
    """
    return lax.Precision.HIGHEST if self.dtype == jnp.float32 else None

"""Options that all layers of a network share."""

import dataclasses
from typing import Any

from flax import linen as nn
from jax import lax
import jax.numpy as jnp

from inception.errors import lookup

# Dtypes by name, `config.precision`.
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
    precision: A name in `PRECISIONS`, the arithmetic of the network.
      Parameters, batch statistics and logits are always float32.
    initializer: A name in `INITIALIZERS`, for kernels.
    batch_norm_scale: Batch norm has a scale (gamma) as well as a bias.
    batch_norm_decay: Fraction of old moving statistics kept at each step.
    batch_norm_epsilon: Added to the variance.
    batch_norm_sync: Synchronize statistics over the axis `axis_name`.
    scan_blocks: Run equal residual blocks as one compiled loop.
    remat: In training, keep only the outputs of stages and of residual blocks,
      and recompute the rest in the backward pass: less memory, more time.
    quantization_aware: In training, round kernels and inputs of convolutions as
      int8 does.
    axis_name: pmap axis that a training batch is split over, or None.
  """

  precision: str = 'float32'
  initializer: str = 'he_normal'
  batch_norm_scale: bool = True
  batch_norm_decay: float = 0.99
  batch_norm_epsilon: float = 1e-3
  batch_norm_sync: bool = True
  scan_blocks: bool = False
  remat: bool = False
  quantization_aware: bool = False
  axis_name: str | None = None

  def __post_init__(self) -> None:
    """Checks the names.

    Raises:
      UserError: One is unknown.
    """
    lookup(PRECISIONS, self.precision, 'precision')
    lookup(INITIALIZERS, self.initializer, 'initializer')

  @property
  def dtype(self) -> Any:
    """Dtype of activations and arithmetic; parameters are float32."""
    return PRECISIONS[self.precision]

  @property
  def kernel_init(self) -> nn.initializers.Initializer:
    """Initializer of kernels."""
    return INITIALIZERS[self.initializer]

  @property
  def batch_norm_axis(self) -> str | None:
    """Axis over which statistics are synchronized, or None."""
    return self.axis_name if self.batch_norm_sync else None

  @property
  def matmul_precision(self) -> lax.Precision | None:
    """Precision of matmuls and convolutions: full for float32.

    By default, TPUs would multiply float32 in bfloat16 and GPUs in
    TensorFloat-32.
    """
    return lax.Precision.HIGHEST if self.dtype == jnp.float32 else None

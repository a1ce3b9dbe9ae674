"""How the words of a table compute, the same for all of a network."""

import dataclasses
from typing import Any

from flax import linen as nn
from jax import lax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Options:
  """How every convolution and block of a network computes.

  Attributes:
    kernel_init: initialiser of kernels.
    dtype: of activations and of the arithmetic; parameters are float32.
    batch_norm: False gives every convolution a bias in place of batch norm.
    batch_norm_scale: batch norm has a scale (gamma) besides its bias (beta).
    batch_norm_decay: share of the old moving statistics kept at each step.
    batch_norm_epsilon: added to the variance.
    batch_norm_axis: pmap axis over which statistics are synchronised, or None.
    squeeze_excite: factor by which squeeze-excite narrows the channels of each
      block; None has none.
    scan_blocks: equal blocks in series run as one compiled loop.
  """

  kernel_init: nn.initializers.Initializer
  dtype: Any = jnp.float32
  batch_norm: bool = True
  batch_norm_scale: bool = True
  batch_norm_decay: float = 0.9
  batch_norm_epsilon: float = 1e-3
  batch_norm_axis: str | None = None
  squeeze_excite: int | None = None
  scan_blocks: bool = False

  @property
  def precision(self) -> lax.Precision | None:
    """Of products: float32 means float32.

    Without it, TPUs would multiply in bfloat16 and GPUs in TensorFloat-32.
    """
    return lax.Precision.HIGHEST if self.dtype == jnp.float32 else None


def dense(features: int, options: Options, name: str) -> nn.Dense:
  """Makes a fully connected layer with bias that computes as told."""
  return nn.Dense(
    features,
    dtype=options.dtype,
    precision=options.precision,
    kernel_init=options.kernel_init,
    name=name,
  )

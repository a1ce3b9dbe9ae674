"""Checks the int8 arithmetic of a device, as XLA has had bugs in it.

For example https://github.com/openxla/xla/issues/49123: wrong results of some
grouped int8 convolutions on GPUs.
"""

import contextlib
import os
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from inception import paths
from inception.errors import warn
from inception.processes import distributed
from inception.quantization.int8 import QuantizedNetwork

# Images, and the tolerated difference of a logit, as a fraction of the largest
# logit. Sums above 2^24 are not exact in float32, so occasionally a number is
# rounded to its neighbor; a wrong convolution changes everything.
_IMAGES = 2
_TOLERANCE = 0.05


def warn_of_wrong_integers(
  folder: paths.PathLike, network: QuantizedNetwork, variables: Any, size: int
) -> None:
  """Warns if an int8 network gives wrong results on this device.

  CPUs are not checked, and other devices once per kind and version of JAX,
  which a file in the compilation cache records.

  Args:
    folder: Folder of the network, for the message.
    network: The network.
    variables: Its variables.
    size: Height and width of its images, pixels.
  """
  kind = jax.local_devices()[0].device_kind
  cache = jax.config.jax_compilation_cache_dir
  name = re.sub(r'\W+', '_', f'int8 is right {kind} {jax.__version__}')
  # If the cache is in an object store, nothing is recorded.
  passed = None if cache is None else os.path.join(cache, name)
  if distributed.on_cpu() or (passed is not None and os.path.exists(passed)):
    return
  noise = np.random.default_rng(0).uniform(-1, 1, (_IMAGES, size, size, 3))
  found = _difference(network, variables, noise.astype(np.float32))
  if not found <= _TOLERANCE:  # Or NaN.
    warn(
      f'{folder}: int8 results are wrong on {kind}: logits differ by'
      f' {found:.0%} of the largest from those of the same integers in float32;'
      ' use a different precision or device'
    )
  elif passed is not None:
    with contextlib.suppress(OSError), open(passed, 'w'):
      pass  # If it cannot be written, the check repeats next time.


def _difference(
  network: QuantizedNetwork, variables: Any, images: np.ndarray
) -> float:
  """Returns the largest logit difference, relative to the largest logit."""

  def logits(integers: bool) -> jax.Array:
    other = network.clone(integers=integers)

    def apply(variables: Any, images: np.ndarray) -> jax.Array:
      outputs: Any = other.apply(variables, images)
      return outputs.logits

    return jax.jit(apply)(variables, images)

  right = logits(False)
  error = jnp.max(jnp.abs(logits(True) - right))
  return float(error / jnp.max(jnp.abs(right)))

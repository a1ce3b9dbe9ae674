"""Checks that a device multiplies integers rightly: XLA has had such errors.

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

# Images, and the largest difference of a logit, as a fraction of the largest
# logit. Sums of more than 2^24 are not exact in float32, so that now and then
# a number is rounded to its neighbor; a wrong convolution changes everything.
_IMAGES = 2
_TOLERANCE = 0.05


def warn_of_wrong_integers(
  folder: paths.PathLike, network: QuantizedNetwork, variables: Any, size: int
) -> None:
  """Warns if an int8 network does not compute what it should on this device.

  CPUs are not checked, and other devices once per kind and version of JAX,
  which the folder of the compilation cache remembers.

  Args:
    folder: Where it is, for the message.
    network: The network.
    variables: Its variables.
    size: Height and width of its images, pixels.
  """
  kind = jax.local_devices()[0].device_kind
  cache = jax.config.jax_compilation_cache_dir
  name = re.sub(r'\W+', '_', f'int8 is right {kind} {jax.__version__}')
  # Of a cache in an object store, nothing is remembered.
  passed = None if cache is None else os.path.join(cache, name)
  if distributed.on_cpu() or (passed is not None and os.path.exists(passed)):
    return
  noise = np.random.default_rng(0).uniform(-1, 1, (_IMAGES, size, size, 3))
  found = _difference(network, variables, noise.astype(np.float32))
  if not found <= _TOLERANCE:  # NaN also.
    warn(
      f'{folder}: {kind} computes int8 wrongly, logits differ by {found:.0%} of'
      ' the largest from those of the same integers in float32; use another'
      ' precision or device'
    )
  elif passed is not None:
    with contextlib.suppress(OSError), open(passed, 'w'):
      pass  # Where it cannot be written, the device is checked again.


def _difference(
  network: QuantizedNetwork, variables: Any, images: np.ndarray
) -> float:
  """Returns the largest difference of a logit, over the largest logit."""

  def logits(integers: bool) -> jax.Array:
    other = network.clone(integers=integers)

    def apply(variables: Any, images: np.ndarray) -> jax.Array:
      outputs: Any = other.apply(variables, images)
      return outputs.logits

    return jax.jit(apply)(variables, images)

  right = logits(False)
  error = jnp.max(jnp.abs(logits(True) - right))
  return float(error / jnp.max(jnp.abs(right)))

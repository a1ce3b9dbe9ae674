"""Transfer of batches to the devices, and normalization there.

Images travel as bytes and are normalized inside the step: a byte moves four
times faster than a float, and devices have time that host cores do not.
"""

import collections
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from inception.data.pixels import eval_transforms
from inception.errors import UserError, lookup
from inception.processes import distributed

Array = jax.Array


def normalize(images: Array, config: ml_collections.ConfigDict) -> Array:
  """Maps images to what the network sees.

  Args:
    images: [..., 3], red, green, blue, from 0 to 255.
    config: `config.data`.

  Returns:
    float32 (pixel - mean) / std, with the channels in the network's order.
  """
  transform = eval_transforms.eval_transform(config)
  order = lookup(
    eval_transforms.CHANNEL_ORDERS, config.channel_order, 'data.channel_order'
  )
  mean = jnp.array(config.mean or transform.mean, jnp.float32)
  std = jnp.array(config.std or transform.std, jnp.float32)
  return ((images.astype(jnp.float32) - mean) / std)[..., order]


def prefetch(
  batches: Iterable[Mapping[str, np.ndarray]],
  devices: Sequence[jax.Device],
  depth: int = 2,
) -> Iterator[dict[str, Array]]:
  """Starts the transfer of batches before they are needed.

  Args:
    batches: Batches of arrays [local devices, ...].
    devices: Devices of all processes.
    depth: Number of batches on the devices at a time.

  Yields:
    The batches, with the first axis split over this process's devices.

  Raises:
    UserError: As `batches`, after the batches before have been yielded.
  """
  waiting: collections.deque[dict[str, Array]] = collections.deque()
  failure: UserError | None = None
  try:
    for batch in batches:
      arrays: dict[str, Any] = dict(batch)
      waiting.append(distributed.split(arrays, devices))
      if len(waiting) == depth:
        yield waiting.popleft()
  except UserError as error:
    failure = error
  yield from waiting
  if failure is not None:
    raise failure

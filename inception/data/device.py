"""Batches on their way to the devices, and there to what the network sees.

A byte moves four times faster than a float, and a device has time that a host
core has not: images travel as bytes and are normalised inside the step.
"""

import collections
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

Array = jax.Array

_CENTRE = (127.5, 127.5, 127.5)  # Maps 0 to 255 to [-1, 1].
Tree = TypeVar('Tree')


def normalize(images: Array, config: ml_collections.ConfigDict) -> Array:
  """Maps images to what the network sees, float32.

  Args:
    images: [..., 3], red, green, blue, from 0 to 255.
    config: `config.data`.

  Returns:
    (pixel - mean) / std in the order of channels of the network.
  """
  mean = jnp.array(config.mean or _CENTRE, jnp.float32)
  std = jnp.array(config.std or _CENTRE, jnp.float32)
  images = (images.astype(jnp.float32) - mean) / std
  return images[..., ::-1] if config.channel_order == 'BGR' else images


def prefetch(
  batches: Iterator[Mapping[str, np.ndarray]],
  devices: Sequence[jax.Device],
  depth: int = 2,
) -> Iterator[dict[str, Array]]:
  """Starts the transfer of batches `depth` steps before they are needed.

  Args:
    batches: arrays [devices, ...].
    devices: local devices, one per entry of the first axis.
    depth: batches that are on the devices at a time.

  Yields:
    The batches, with the first axis split over the devices.
  """
  split = _sharding(devices, 'batch')
  waiting: collections.deque[dict[str, Array]] = collections.deque()
  for batch in batches:
    waiting.append(jax.device_put(dict(batch), split))
    if len(waiting) == depth:
      yield waiting.popleft()
  yield from waiting


def replicate(tree: Tree, devices: Sequence[jax.Device]) -> Tree:
  """Puts the same arrays on every device, as a pmapped step returns them.

  A step that gets them in any other way compiles once more for its own output.
  """
  return jax.device_put(tree, _sharding(devices))


def _sharding(
  devices: Sequence[jax.Device], *axes: str
) -> jax.sharding.NamedSharding:
  mesh = jax.sharding.Mesh(np.array(devices), ('batch',))
  return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*axes))

"""The device's part: uint8 batches to what the network sees, and prefetching.

A byte moves four times faster than a float, and a device has time that a host
core has not: images are flipped, scaled and cast here, inside the step.
"""

import collections
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

import jax
from jax import lax
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


def flip(key: Array, images: Array, places: Array) -> Array:
  """Mirrors each image left to right with probability one half.

  Args:
    key: of this step.
    images: [batch, height, width, channels].
    places: int32 [batch], place of each image in the global batch; what happens
      to an image follows from it and the key, not from the device.

  Returns:
    Images of the same shape and dtype.
  """
  keys = jax.vmap(jax.random.fold_in, (None, 0))(key, places)
  mirror = jax.vmap(jax.random.bernoulli)(keys)
  return jnp.where(mirror[:, None, None, None], images[:, :, ::-1], images)


def mixup(
  key: Array,
  images: Array,
  targets: Array,
  places: Array,
  alpha: float,
  axis_name: str,
) -> tuple[Array, Array]:
  """Mixes each image with another of the global batch (Zhang et al., 2018).

  The partner of the image at place p of n is the one at n - 1 - p; its share
  comes from Beta(alpha, alpha), one draw an image.

  Args:
    key: of this step.
    images: uint8 [batch, height, width, channels], this device's.
    targets: float32 [batch, classes], probabilities.
    places: int32 [batch], place of each image in the global batch.
    alpha: strength; near 0 hardly mixes, 1 mixes evenly.
    axis_name: pmap axis that the batch is split over.

  Returns:
    float32 images in the units of the input, and targets, mixed alike.
  """
  devices = lax.axis_size(axis_name)
  opposite = [(i, devices - 1 - i) for i in range(devices)]
  partners, their_targets = (
    lax.ppermute(x, axis_name, opposite)[::-1] for x in (images, targets)
  )
  keys = jax.vmap(jax.random.fold_in, (None, 0))(key, places)
  own = jax.vmap(lambda k: jax.random.beta(k, alpha, alpha))(keys)[:, None]
  mixed_targets = own * targets + (1 - own) * their_targets
  own = own[:, :, None, None]
  mixed = own * images.astype(jnp.float32) + (1 - own) * partners
  return mixed, mixed_targets


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

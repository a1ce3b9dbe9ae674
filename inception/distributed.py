"""Devices: the axis a batch is split over, and placing arrays along it."""

from collections.abc import Sequence
from typing import TypeVar

import jax
import numpy as np

Tree = TypeVar('Tree')

# Name of the pmap axis that a batch is split over.
AXIS = 'batch'


def local_devices() -> list[jax.Device]:
  """Returns the devices of this host."""
  return jax.local_devices()


def on_cpu() -> bool:
  """True if programs are compiled for the CPU."""
  return jax.default_backend() == 'cpu'


def replicate(tree: Tree, devices: Sequence[jax.Device]) -> Tree:
  """Puts the same arrays on every device, the way a pmapped step returns them.

  With any other placement, the second step would compile again.
  """
  return jax.device_put(tree, _sharding(devices))


def split(tree: Tree, devices: Sequence[jax.Device]) -> Tree:
  """Starts the transfer of arrays [devices, ...], one row to each device."""
  return jax.device_put(tree, _sharding(devices, AXIS))


def _sharding(
  devices: Sequence[jax.Device], *axes: str
) -> jax.sharding.NamedSharding:
  mesh = jax.sharding.Mesh(np.array(devices), (AXIS,))
  return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*axes))

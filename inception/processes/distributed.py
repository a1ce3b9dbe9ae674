"""Processes and devices: counting, agreeing, and placing arrays.

In a run with a single process, nothing here communicates.
"""

from collections.abc import Iterator, Sequence
import contextlib
from typing import Any, TypeVar

import jax
from jax import lax
from jax.experimental import multihost_utils
import numpy as np

from inception import errors
from inception.errors import UserError

Tree = TypeVar('Tree')

# Name of the pmap axis that a batch is split over.
AXIS = 'batch'

_MESSAGE_BYTES = 1024  # Longest message between processes.


def process_index() -> int:
  """Returns the index of this process."""
  return jax.process_index()


def process_count() -> int:
  """Returns the number of processes of the run."""
  return jax.process_count()


def is_first() -> bool:
  """True in the process that writes config, logs and checkpoints."""
  return process_index() == 0


def warn(message: str) -> None:
  """Warns once, in the first process."""
  if is_first():
    errors.warn(message)


def all_devices() -> list[jax.Device]:
  """Returns the devices of all processes, grouped by process."""
  return sorted(jax.devices(), key=lambda d: (d.process_index, d.id))


def local(devices: Sequence[jax.Device]) -> list[jax.Device]:
  """Returns those of `devices` that belong to this process."""
  return [d for d in devices if d.process_index == process_index()]


def on_cpu() -> bool:
  """True if programs are compiled for the CPU."""
  return jax.default_backend() == 'cpu'


def replicate(tree: Tree, devices: Sequence[jax.Device]) -> Tree:
  """Puts the same arrays on every local device, as a pmapped step returns them.

  With any other sharding, the second step would recompile.
  """
  return jax.device_put(tree, _sharding(local(devices)))


def split(tree: Any, devices: Sequence[jax.Device]) -> Any:
  """Starts the transfer of arrays [local devices, ...], one row per device."""
  return jax.device_put(tree, _sharding(local(devices), AXIS))


def _sharding(
  devices: Sequence[jax.Device], *axes: str
) -> jax.sharding.NamedSharding:
  mesh = jax.sharding.Mesh(np.array(devices), (AXIS,))
  return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*axes))


class Ballot:
  """A vote of all processes that does not stall the devices."""

  def __init__(self, devices: Sequence[jax.Device]):
    """Prepares votes of the processes that `devices` belong to."""
    self._local = local(devices)
    self._largest = jax.pmap(
      lambda x: lax.pmax(x, AXIS), AXIS, out_axes=None, devices=devices
    )

  def cast(self, *opinions: bool) -> Any:
    """Starts a vote; returns an array [opinions], positive where any is True.

    Every process must cast the same number of ballots in the same order.
    Reading the array waits for the result.
    """
    values = np.array(opinions, np.int32)
    if process_count() == 1:
      return values
    return self._largest(np.stack([values] * len(self._local)))


@contextlib.contextmanager
def agreed() -> Iterator[None]:
  """Raises in all processes if the block fails in one.

  All processes must run the block, and it must not communicate. If it raises a
  UserError or an OSError in one of them, the others raise a UserError with the
  same message at the end of the block, so that none of them waits for a process
  that has failed.
  """
  failure: Exception | None = None
  try:
    yield
  except (UserError, OSError) as error:
    failure = error
  if process_count() > 1:
    told = _tell(str(failure) if failure else '')
    for process, message in enumerate(told):
      if message and failure is None:
        failure = UserError(f'process {process}: {message}')
  if failure is not None:
    raise failure


def wait_for_all(name: str) -> None:
  """Waits until all processes have called this."""
  if process_count() > 1:
    multihost_utils.sync_global_devices(name)


def same_everywhere(value: str, name: str) -> None:
  """Checks that all processes have the same value.

  Args:
    value: This process's value.
    name: Name of the value, for the error.

  Raises:
    UserError: They differ; every process raises.
  """
  told = tell_all(value)
  for process, other in enumerate(told):
    if other != told[0]:
      raise UserError(
        f'{name} differs between processes: {told[0] or None} in process 0,'
        f' {other or None} in process {process}'
      )


def tell_all(message: str) -> list[str]:
  """Returns the messages of all processes, at most 1024 bytes each."""
  return _tell(message) if process_count() > 1 else [message]


def from_first(value: int | None) -> int | None:
  """Returns the value of process 0: a non-negative integer, or None."""
  if process_count() == 1:
    return value
  told = _tell('' if value is None else str(value))[0]
  return int(told) if told else None


def _tell(message: str) -> list[str]:
  """Returns the messages of all processes, truncated."""
  buffer = np.zeros(_MESSAGE_BYTES, np.uint8)
  encoded = message.encode()[:_MESSAGE_BYTES]
  buffer[: len(encoded)] = np.frombuffer(encoded, np.uint8)
  told = np.asarray(multihost_utils.process_allgather(buffer))
  return [row.tobytes().rstrip(b'\0').decode(errors='replace') for row in told]

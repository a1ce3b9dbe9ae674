"""Estimates whether a step fits in memory, before anything is compiled."""

from collections.abc import Sequence
import math
import os
import re

import jax
import numpy as np

from inception.errors import UserError
from inception.processes import distributed
from inception.spec import unroll
from inception.training.build import Training

# The backward pass needs the output of every convolution twice: before and
# after batch norm and ReLU. No compiler optimization avoids that.
_LEAST_COPIES = 2
# Compiled steps of `inception_v1` and `inception_v3` take 6.7 and 3.7 (CPU,
# float32); the suggested batch size should fit, so it assumes more.
_USUAL_COPIES = 8


def check_memory(training: Training, available: int | None = None) -> None:
  """Refuses a batch that clearly won't fit in memory.

  Args:
    training: What the run computes with.
    available: Bytes per device; None asks the device or the host.

  Raises:
    UserError: It won't fit; names the largest batch that should.
  """
  config, devices = training.config, training.devices
  if available is None:
    available = available_bytes(distributed.local(devices))
  if available is None:
    return
  state = _state_bytes(training)
  image = _image_bytes(training)
  rows = config.batch_size // len(devices) // config.accumulation_steps
  # Recomputed outputs are not kept.
  copies = 0 if config.model.remat else _LEAST_COPIES
  least = state + rows * copies * image
  if least <= available:
    return
  fits = int((available - state) / (_USUAL_COPIES * image))
  fits *= config.accumulation_steps
  advice = (
    f'--config.batch_size={fits * len(devices)} should fit'
    if fits > 0
    else 'use a smaller network or image_size'
  )
  raise UserError(
    f'batch_size={config.batch_size} with image_size={config.data.image_size}'
    f' needs at least {least / 2**30:,.1f} GiB per device, but'
    f' {available / 2**30:,.1f} GiB is available; {advice}'
  )


def available_bytes(devices: Sequence[jax.Device]) -> int | None:
  """Returns the bytes available on each local device; None if unknown.

  CPU devices share the memory of the host.
  """
  if devices[0].platform != 'cpu':
    stats = devices[0].memory_stats() or {}
    return stats.get('bytes_limit')
  try:
    with open('/proc/meminfo') as file:
      match = re.search(r'^MemAvailable: +(\d+) kB', file.read(), re.M)
  except OSError:  # Not on Linux.
    return None
  if match is None:
    return None
  free = int(match[1]) * 1024
  return min(free, _limit_of_group() or free) // len(devices)


def _limit_of_group() -> int | None:
  """Returns the memory limit of the container, in bytes."""
  for path in (
    '/sys/fs/cgroup/memory.max',
    '/sys/fs/cgroup/memory/memory.limit_in_bytes',
  ):
    if os.path.exists(path):
      with open(path) as file:
        text = file.read().strip()
      return int(text) if text.isdecimal() else None
  return None


def _state_bytes(training: Training) -> int:
  """Returns the bytes of the state and the gradients."""
  state = training.abstract_state
  leaves = jax.tree.leaves((state, state.params))
  return sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)


def _image_bytes(training: Training) -> int:
  """Returns the bytes of the outputs of trained convolutions, for one image.

  Outputs of frozen stages are not kept. On CPUs, XLA computes in float32
  regardless of the precision.
  """
  size = training.config.data.image_size
  stages = unroll.stage_layers(training.model.architecture, size, size)
  outputs = sum(
    math.prod(layer.output)
    for name, layers in stages.items()
    if name not in training.model.frozen_stages
    for layer in layers
    if layer.is_convolution
  )
  dtype = np.dtype(training.model.options.dtype)
  return outputs * (4 if distributed.on_cpu() else dtype.itemsize)

"""Images as generators return them: from floats to pixels, and to devices."""

from collections.abc import Sequence
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from inception.errors import UserError, lookup
from inception.processes import distributed

Array = jax.Array

VALUE_RANGES = ((-1, 1), (0, 1))

# How floats become pixels, of 127.5 (x + 1) for a range of -1 to 1.
ROUNDINGS = {
  # StyleGAN3, EDM2, SiT, MeanFlow: floor(127.5 x + 128).
  'round': lambda pixels: jnp.floor(pixels + 0.5),
  # ADM's script, RAE: floor(127.5 (x + 1)).
  'truncate': jnp.floor,
  # Shortcut models.
  'none': lambda pixels: pixels,
}


# Values this many times the width of the range above it are those of pixels.
_FAR = 16
# Lower values than this are not rounding errors of black.
_NEGATIVE = 0.25


@dataclasses.dataclass(frozen=True)
class ValueRange:
  """How the values of float images are read; uint8 images are pixels.

  Attributes:
    low: Value of black.
    high: Value of full intensity.
    rounding: A name in `ROUNDINGS`.
  """

  low: float
  high: float
  rounding: str = 'round'

  def __post_init__(self) -> None:
    """Raises UserError if the range or the rounding is unknown."""
    if (self.low, self.high) not in VALUE_RANGES:
      raise UserError(
        f'value_range=({self.low}, {self.high}) is not (-1, 1) or (0, 1)'
      )
    lookup(ROUNDINGS, self.rounding, 'rounding')

  def to_pixels(self, images: Array) -> Array:
    """Returns float32 pixels from 0 to 255, with three channels.

    Images with NaN or infinity become NaN, which `compute` refuses.

    Args:
      images: uint8 or floats, [..., 1 or 3].
    """
    pixels = images.astype(jnp.float32)
    if images.dtype != jnp.uint8:
      scaled = (pixels - self.low) * (255 / (self.high - self.low))
      clipped = jnp.clip(ROUNDINGS[self.rounding](scaled), 0, 255)
      # Infinity would be clipped.
      pixels = jnp.where(jnp.isfinite(pixels), clipped, jnp.nan)
    return jnp.broadcast_to(pixels, (*images.shape[:-1], 3))

  def check_first(self, images: Any) -> None:
    """Checks that the values of the first images fit the range.

    Raises:
      UserError: They are not finite, or far outside the range.
    """
    if images.dtype == jnp.uint8 or not images.size:
      return
    if isinstance(images, jax.Array):  # Those of a device are enough.
      if not (shards := images.addressable_shards):
        return
      images = shards[0].data
    values = np.asarray(images, np.float32)
    if not np.isfinite(values).all():
      raise UserError('the generated images hold NaN or infinity')
    low, high = float(values.min()), float(values.max())
    width = self.high - self.low
    outside = np.mean((values < self.low) | (values > self.high))
    # A generator at the start of its training may exceed the range.
    if outside > 0.5 or high > self.high + _FAR * width:
      raise UserError(
        f'the values of the images, from {low:.3g} to {high:.3g}, are outside'
        f' value_range=({self.low}, {self.high}); give uint8, or scale them'
      )
    if self.low < 0 and low >= 0 and high <= 1:
      distributed.warn(
        'all values of the first images are between 0 and 1; if black is 0,'
        ' set value_range=(0, 1)'
      )
    if self.low == 0 and low < -_NEGATIVE:
      distributed.warn(
        f'the first images have values down to {low:.3g}; if black is -1, set'
        ' value_range=(-1, 1)'
      )


# For sides that are uint8.
PIXELS = ValueRange(-1, 1)


def value_range(limits: Any, rounding: str) -> ValueRange:
  """Returns the range from black to full intensity.

  Raises:
    UserError: It or the rounding is unknown.
  """
  if not isinstance(limits, Sequence) or len(limits) != 2:
    raise UserError(f'value_range={limits!r} is not (-1, 1) or (0, 1)')
  low, high = limits
  return ValueRange(low, high, rounding)


def check_shape(images: Any) -> None:
  """Checks the shape and dtype of a batch of generated images.

  Raises:
    UserError: They are not images.
  """
  shape, dtype = images.shape, images.dtype
  if len(shape) not in (4, 5) or shape[-1] not in (1, 3) or 0 in shape:
    raise UserError(
      f'images of shape {tuple(shape)} are not [batch, height, width, 3], nor'
      ' [devices, batch, height, width, 3], with 1 or 3 channels'
    )
  if dtype != np.uint8 and not jnp.issubdtype(dtype, jnp.floating):
    raise UserError(f'images of {dtype} are neither uint8 nor floats')


@dataclasses.dataclass(frozen=True)
class LocalBatch:
  """This process's share of a batch.

  Attributes:
    images: [local devices, batch, height, width, channels].
    rows: Index in the whole batch of each image, int64 [local devices, batch];
      -1 for padding.
    total: Images in the whole batch, of all processes.
  """

  images: Any
  rows: np.ndarray
  total: int


def local_batch(
  images: Any, devices: Sequence[jax.Device], at_least: int = 0
) -> LocalBatch:
  """Finds the images of this process, and splits them over its devices.

  Args:
    images: An array that spans processes; or this process's share, as every
      process has one of the same size, first that of process 0.
    devices: The local devices.
    at_least: Images per device to pad a host array to, so that a last, smaller
      batch needs no other program.
  """
  if isinstance(images, jax.Array) and not images.is_fully_addressable:
    return _of_all_processes(images, devices)
  on_host = not isinstance(images, jax.Array)
  # The caller may fill its array again before the devices have read it.
  flat = (np.array(images) if on_host else images).reshape(
    -1, *images.shape[-3:]
  )
  count = len(flat)
  rows = distributed.process_index() * count + np.arange(count)
  total = count * distributed.process_count()
  return split_rows(flat, rows, total, devices, at_least if on_host else 0)


def _of_all_processes(
  images: Array, devices: Sequence[jax.Device]
) -> LocalBatch:
  """Returns the shards of an array over several processes that are here.

  Raises:
    UserError: It is not over all processes, or not split by its first axis.
  """
  devices_of: Any = images.sharding.device_set
  owners = {device.process_index for device in devices_of}
  if len(owners) != distributed.process_count():
    raise UserError(
      f'the images are on the devices of {len(owners)} of'
      f' {distributed.process_count()} processes; give an array over all'
    )
  per_row = images.shape[1] if images.ndim == 5 else 1
  parts, rows = [], []
  # Of copies, each shard counts once.
  for shard in images.addressable_shards:
    if shard.replica_id:
      continue
    if shard.data.shape[1:] != images.shape[1:]:
      raise UserError('split the images over the devices by their first axis')
    part = shard.data.reshape(-1, *images.shape[-3:])
    parts.append(part)
    rows.append((shard.index[0].start or 0) * per_row + np.arange(len(part)))
  total = images.shape[0] * per_row
  sizes = {len(part) for part in parts}
  # Meshes may have the devices in another order.
  at = {part.device: i for i, part in enumerate(parts)}
  if at.keys() == set(devices) and len(sizes) == 1:
    order = [at[device] for device in devices]
    parts, rows = [parts[i] for i in order], [rows[i] for i in order]
    shape = (len(parts), *parts[0].shape)
    sharding = distributed.split(np.zeros(len(parts)), devices).sharding
    joined = jax.make_array_from_single_device_arrays(
      shape, sharding, [part[None] for part in parts]
    )
    return LocalBatch(joined, np.stack(rows), total)
  if not parts:
    shape = (0, *images.shape[-3:])
    return split_rows(
      np.zeros(shape, images.dtype), np.zeros(0), total, devices
    )
  flat = np.concatenate([np.asarray(part) for part in parts])
  return split_rows(flat, np.concatenate(rows), total, devices)


def split_rows(
  flat: Any,
  rows: np.ndarray,
  total: int,
  devices: Sequence[jax.Device],
  at_least: int = 0,
) -> LocalBatch:
  """Pads images and splits them evenly over the devices.

  Args:
    flat: Images, [batch, height, width, channels].
    rows: Index of each image in the whole batch.
    total: Images in the whole batch.
    devices: The local devices.
    at_least: Images per device to pad to.
  """
  per_device = max(-(-len(flat) // len(devices)), at_least, 1)
  short = per_device * len(devices) - len(flat)
  if short:
    zeros = ((0, short), (0, 0), (0, 0), (0, 0))
    pad = np.pad if isinstance(flat, np.ndarray) else jnp.pad
    flat = pad(flat, zeros)
  rows = np.pad(rows.astype(np.int64), (0, short), constant_values=-1)
  shape = (len(devices), per_device)
  split = distributed.split(flat.reshape(*shape, *flat.shape[1:]), devices)
  return LocalBatch(split, rows.reshape(shape), total)

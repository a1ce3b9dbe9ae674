"""Checks of batch size, image size and frozen stages."""

from collections.abc import Sequence
import itertools

import jax
import ml_collections

from inception import errors
from inception.architectures import get_architecture
from inception.data.pixels.eval_transforms import eval_transform
from inception.errors import UserError
from inception.modules.create import check_stage
from inception.processes import distributed
from inception.spec import unroll

# Short side of an evaluation image before it is cropped, in pixels.
_LARGEST_RESIZED = 8192

# Images of a step in each process, in bytes.
_LARGEST_BATCH = 8 * 2**30


def check_sizes(
  config: ml_collections.ConfigDict, devices: Sequence[jax.Device]
) -> None:
  """Checks that a batch splits over the devices of all processes and fits.

  Raises:
    UserError: Names the field, its value and a value that works.
  """
  _check_batch_size(config.batch_size, devices)
  check_parts(config, len(devices))
  _check_batch_bytes(config)


def check_parts(config: ml_collections.ConfigDict, count: int) -> None:
  """Checks that the images of each of `count` devices split into equal parts.

  Raises:
    UserError: They do not; proposes a number of parts.
  """
  rows, parts = config.batch_size // count, config.accumulation_steps
  if rows % parts:
    fitting = next(n for n in range(min(parts, rows), 0, -1) if rows % n == 0)
    raise UserError(
      f'accumulation_steps={parts} does not split the'
      f' {errors.count(rows, "image")} of each device; try'
      f' --config.accumulation_steps={fitting}'
    )


def check_batch_norm(
  config: ml_collections.ConfigDict, count: int, resumed: bool
) -> None:
  """Checks that no batch norm normalizes a single value per channel.

  Its output would be the bias, regardless of the image.

  Args:
    config: A config whose sizes are valid.
    count: Number of devices.
    resumed: True for a resumed run, which only gets a warning.

  Raises:
    UserError: One does; names the layer and a batch size that works.
  """
  images = config.batch_size // count // config.accumulation_steps
  if config.model.batch_norm_sync:
    images *= count
  if images > 1:
    return
  size = config.data.image_size
  table = get_architecture(config.model.architecture)
  stages = unroll.stage_layers(table, size, size)
  names, frozen = list(stages), config.freeze_through
  first = 0 if frozen is None else names.index(frozen) + 1
  groups = [stages[name] for name in names[first:]]
  if config.model.aux_heads:
    groups += unroll.aux_layers(table, size, size, 1).values()
  for layer in itertools.chain(*groups):
    if layer.batch_norm_channels and layer.output[:2] == (1, 1):
      text = (
        f'batch norm of {layer.scope} would see one value per channel, with'
        f' batch_size={config.batch_size} and'
        f' accumulation_steps={config.accumulation_steps}; try'
        f' --config.batch_size={2 * config.batch_size}'
      )
      if not resumed:
        raise UserError(text)
      distributed.warn(text)
      return


def check_network(config: ml_collections.ConfigDict) -> None:
  """Checks image size and frozen stages, if the architecture is known.

  Raises:
    UserError: Names the field, its value and a value that works.
  """
  if config.model.architecture is None:
    return  # It is taken from the pretrained weights.
  if config.data.image_size is not None:
    _check_image_size(config)
  _check_freeze_through(config)


def _check_batch_size(batch_size: int, devices: Sequence[jax.Device]) -> None:
  processes = distributed.process_count()
  local = len(distributed.local(devices))
  if local * processes != len(devices):
    raise UserError(
      f'process {distributed.process_index()} has {local} of {len(devices)}'
      f' devices; all {processes} processes must have the same number'
    )
  if batch_size % len(devices) == 0:
    return
  lower = batch_size - batch_size % len(devices)
  where = errors.count(len(devices), 'device')
  if processes > 1:
    where += f' of {processes} processes'
  raise UserError(
    f'batch_size={batch_size} does not split over {where}; try'
    f' --config.batch_size={lower or len(devices)}'
  )


def _check_batch_bytes(config: ml_collections.ConfigDict) -> None:
  rows = config.batch_size // distributed.process_count()
  size = rows * 3 * config.data.image_size**2
  if size > _LARGEST_BATCH:
    raise UserError(
      f'batch_size={config.batch_size} with'
      f' data.image_size={config.data.image_size} is {size / 2**30:,.0f} GiB'
      f' of images per step and process, more than'
      f' {_LARGEST_BATCH / 2**30:.0f}; lower --config.batch_size'
    )


def _check_image_size(config: ml_collections.ConfigDict) -> None:
  table = get_architecture(config.model.architecture)
  size = config.data.image_size
  resized = eval_transform(config.data).resized_side(size)
  if resized is not None and resized > _LARGEST_RESIZED:
    raise UserError(
      f'data.image_size={size} with data.crop_pct={config.data.crop_pct}'
      f' resizes evaluation images to {resized:,} pixels, more than'
      f' {_LARGEST_RESIZED:,}; raise --config.data.crop_pct'
    )
  try:
    unroll.stage_shapes(table, size, size)
  except unroll.NoGridError as error:
    raise UserError(
      f'data.image_size={size} is too small for'
      f' {config.model.architecture}: {error}; the smallest is'
      f' {unroll.smallest_input(table)}'
    ) from error


def _check_freeze_through(config: ml_collections.ConfigDict) -> None:
  last = config.freeze_through
  if last is None:
    return
  check_stage(get_architecture(config.model.architecture), last)
  if config.pretrained is None:
    raise UserError(
      f'freeze_through={last!r} without pretrained would freeze random weights;'
      ' set --config.pretrained=DIR'
    )

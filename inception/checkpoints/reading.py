"""Reads one checkpoint, or reports why it cannot be read.

If the system cannot read a file, its content may still be good. Any other error
means damage: Orbax and TensorStore parse files without validating them, so a
damaged one can raise anything.
"""

import dataclasses
import errno
import json
import os
from typing import Any

import ml_collections

from inception import paths
from inception.checkpoints import arrays, header
from inception.checkpoints.orbax_io import OrbaxIO
from inception.config import checks, compare
from inception.errors import UserError, reason
from inception.files import json_text
from inception.files.retry import PERMANENT, retry

# How long to retry reading a checkpoint.
_RETRY_SECONDS = 60.0

# A missing file, or one of the wrong type, counts as damage.
_DAMAGE = (
  errno.ENOENT,
  errno.ENOTDIR,
  errno.EISDIR,
  errno.EINVAL,
  errno.ELOOP,
)


class DamagedCheckpointError(UserError):
  """The content of a checkpoint is wrong."""


@dataclasses.dataclass(frozen=True)
class Checkpoint:
  """What a checkpoint holds.

  Attributes:
    step: Training steps taken.
    state: Nested dicts of host arrays.
    config: Config of the run, with this version's fields.
    interval: Sums of the metrics since the last logged step, see `Meter`.
    data: What the run was trained on: `record.describe_data`.
    patience: `Patience.state` of the run; None in older versions.
  """

  step: int
  state: dict[str, Any]
  config: ml_collections.ConfigDict
  interval: dict[str, Any]
  data: dict[str, Any]
  patience: dict[str, Any] | None = None


def read(io: OrbaxIO, path: paths.Path) -> Checkpoint:
  """Reads a checkpoint.

  Args:
    io: Reads its arrays.
    path: Its folder, named by its step.

  Raises:
    DamagedCheckpointError: Its content is wrong.
    UserError: It cannot be read, even after retries.
  """
  return retry(
    lambda: _read_twice(io, path),
    f'checkpoint {path}',
    _RETRY_SECONDS,
    PERMANENT,
  )


def _read_twice(io: OrbaxIO, path: paths.Path) -> Checkpoint:
  """Reads a checkpoint; raises OSError if the system cannot read it."""
  try:
    return _read(io, path)
  except Exception as error:
    if failed(error):
      raise
    # Libraries may wrap a system error; if so, this raises it unwrapped.
    read_all(path)
  try:
    return _read(io, path)
  except Exception as error:
    raise DamagedCheckpointError(
      f'checkpoint {path} is damaged: {reason(error)}'
    ) from error


def _read(io: OrbaxIO, path: paths.Path) -> Checkpoint:
  fields = header.read_header(path)
  state = io.restore(path)
  if arrays.digest(arrays.flatten(state)) != fields['arrays']:
    raise ValueError('its arrays differ from what was written')
  step = int(fields.get('step', state['step']))
  if step != int(path.name):
    raise ValueError(f'it was written as step {step}')
  return Checkpoint(
    step,
    state,
    _config(fields),
    fields.get('interval', {}),
    fields.get('data', {}),
    fields.get('patience'),
  )


def read_config(path: paths.Path) -> ml_collections.ConfigDict:
  """Reads the config of a checkpoint, without its arrays.

  Raises:
    UserError: The header is damaged.
  """
  try:
    return _config(header.read_header(path))
  except (OSError, ValueError, KeyError, TypeError, UserError) as error:
    if failed(error):
      raise not_readable(f'checkpoint {path}', error) from error
    raise UserError(
      f'the header of checkpoint {path} is damaged: {reason(error)}'
    ) from error


def _config(fields: json_text.Fields) -> ml_collections.ConfigDict:
  config = compare.from_json(json.dumps(fields['config']))
  checks.check_types(config)
  return config


def failed(error: Exception) -> bool:
  """True if the system could not read a file, as opposed to damage."""
  return isinstance(error, OSError) and error.errno not in (None, *_DAMAGE)


def not_readable(what: str, error: Exception) -> UserError:
  """Returns a UserError for an error for which `failed` is true."""
  return UserError(f'cannot read {what}: {getattr(error, "strerror", error)}')


def read_all(folder: paths.Path) -> None:
  """Reads every file in a folder.

  Raises:
    OSError: The system cannot read one.
  """

  def check(error: OSError) -> None:
    if failed(error):
      raise error

  for parent, _, names in os.walk(folder, onerror=check):
    for name in names:
      try:
        with paths.open_file(os.path.join(parent, name)) as file:
          while file.read(2**20):
            pass
      except OSError as error:
        check(error)

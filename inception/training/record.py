"""The record of a run: code, packages, hardware, data and config."""

from collections.abc import Mapping
import datetime
from importlib import metadata
import json
import os
import pathlib
import platform
import subprocess
from typing import Any

import jax

import inception
from inception import paths
from inception.data.sources.source import Source
from inception.errors import UserError, count, warn
from inception.processes import distributed
from inception.training.build import Training

# The training and the evaluation split.
Splits = tuple[Source, Source]

# Values of `data.on_change`: True to continue with changed data.
ON_CHANGE = {'refuse': False, 'continue': True}

_PACKAGES = (
  'inception-jax',
  'jax',
  'jaxlib',
  'libtpu',
  'flax',
  'optax',
  'orbax-checkpoint',
  'numpy',
  'tensorflow',
  'tensorflow-datasets',
  'opencv-python-headless',
)


def record_start(
  workdir: paths.Path, training: Training, sources: Splits, step: int
) -> None:
  """Appends a line about this start of a run to starts.jsonl.

  Raises:
    UserError: The file cannot be written.
  """
  line = json.dumps(_describe(training, sources, step))
  path = workdir / 'starts.jsonl'
  try:
    with open(path, 'a') as file:
      file.write(line + '\n')
  except OSError as error:
    raise UserError(f'cannot write {path}: {error.strerror}') from error


def _describe(training: Training, sources: Splits, step: int) -> dict[str, Any]:
  """Returns everything that two runs must share to be bit-identical."""
  devices = training.devices
  return {
    'time': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds'),
    'step': step,
    'commit': _commit(),
    'python': platform.python_version(),
    'packages': {name: _version(name) for name in _PACKAGES},
    'platform': devices[0].platform,
    'devices': f'{len(devices)} x {devices[0].device_kind}',
    'processes': distributed.process_count(),
    'xla_flags': os.environ.get('XLA_FLAGS', ''),
    'matmul_precision': jax.config.jax_default_matmul_precision,
    'seed': training.config.seed,
    'data': describe_data(sources),
    'config': json.loads(training.config.to_json()),
  }


def describe_data(sources: Splits) -> dict[str, Any]:
  """Returns the number of examples and the digest of each split, by name."""
  return {
    split: {'examples': source.num_examples, 'digest': source.digest}
    for split, source in zip(('train', 'evaluation'), sources)
  }


def check_data(
  before: Mapping[str, Any], sources: Splits, on_change: str
) -> None:
  """Checks that a resumed run continues with the same data.

  Args:
    before: Result of `describe_data` when the run was saved; empty in
      checkpoints of version 0.3 and older.
    sources: The splits now.
    on_change: A name in `ON_CHANGE`.

  Raises:
    UserError: The data has changed, and `on_change` is 'refuse'.
  """
  now = describe_data(sources)
  for source, split in zip(sources, now):
    if split not in before or before[split] == now[split]:
      continue
    counts = before[split]['examples'], now[split]['examples']
    what = (
      f'had {count(counts[0], "example")}, now {counts[1]:,}'
      if counts[0] != counts[1]
      else 'has as many examples as before, but their content has changed'
    )
    if not ON_CHANGE[on_change]:
      raise UserError(
        f'{source.name} {what}. Restore the data, use another workdir, or set'
        ' --config.data.on_change=continue'
      )
    if distributed.is_first():
      warn(f'{source.name} {what}')


def _version(package: str) -> str | None:
  try:
    return metadata.version(package)
  except metadata.PackageNotFoundError:
    return None


def _commit() -> str | None:
  """Returns the commit of the code; None if it is not in a repository."""
  folder = pathlib.Path(inception.__file__).parent.parent
  if not (folder / '.git').exists():
    return None
  try:
    return subprocess.run(
      ['git', '-C', str(folder), 'describe', '--always', '--dirty'],
      capture_output=True,
      text=True,
      check=True,
      timeout=10,
    ).stdout.strip()
  except (OSError, subprocess.SubprocessError):
    return None

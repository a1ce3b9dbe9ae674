"""The metrics file of a run: one JSON object per line, with its checksum."""

from collections.abc import Iterator, Mapping
import math
from typing import Any
import zlib

from inception import paths
from inception.errors import UserError, warn
from inception.files import json_text
from inception.files.growing_file import GrowingFile

Row = Mapping[str, Any]

METRICS_FILE = 'metrics.jsonl'

_NO_METRICS = ('step', 'time', 'crc32')

# The last field of a line: the CRC32 of everything before it.
_CHECKSUM = ', "crc32": '


def read_rows(workdir: paths.Path) -> list[Row]:
  """Reads the metrics that a run logged; skips damaged lines with a warning.

  Raises:
    UserError: There are none.
  """
  path = workdir / METRICS_FILE
  if not paths.exists(path):
    raise UserError(f'there is no {path}; give the workdir of a run')
  rows = [row for _, row in _good_lines(path)]
  if not rows:
    raise UserError(f'{path} is empty: the run has not logged a step yet')
  return rows


def evaluations(
  workdir: paths.Path, metric: str = 'top1'
) -> list[tuple[int, float]]:
  """Returns step and metric of a run's evaluations; [] before it starts."""
  path = workdir / METRICS_FILE
  if not paths.exists(path):
    return []
  return [
    (row['step'], row[metric])
    for _, row in _good_lines(path)
    if row['split'] != 'train' and metric in row
  ]


def numbers(row: Row) -> dict[str, float]:
  """Returns the metrics of a row, as {'train/loss': 0.5, ...}."""
  return {
    f'{row["split"]}/{name}': float(value)
    for name, value in row.items()
    if isinstance(value, int | float) and name not in _NO_METRICS
  }


def format_row(row: Row) -> bytes:
  """Returns a row as a line, with its checksum."""
  body = json_text.dump(row)[:-1]
  return f'{body}{_CHECKSUM}{zlib.crc32(body.encode())}}}\n'.encode()


def open_after(workdir: paths.Path, step: int) -> tuple[GrowingFile, list[Row]]:
  """Opens the metrics file for appending; rows of later steps are deleted.

  A killed run has logged steps that it repeats when it resumes.

  Returns:
    The file, and the rows that it holds.

  Raises:
    UserError: The file cannot be read or written.
  """
  path = workdir / METRICS_FILE
  try:
    lines = list(_good_lines(path)) if paths.exists(path) else []
    lines = [(line, row) for line, row in lines if row['step'] <= step]
    paths.write_atomically(path, ''.join(line + '\n' for line, _ in lines))
    return GrowingFile(path), [row for _, row in lines]
  except OSError as error:
    raise UserError(f'cannot open {path}: {error.strerror}') from error


def _good_lines(path: paths.Path) -> Iterator[tuple[str, Row]]:
  lines = paths.read_bytes(path).decode(errors='replace').splitlines()
  for number, line in enumerate(lines, 1):
    row = _parse(line)
    if row is None:
      warn(f'line {number} of {path} is damaged; skipping it')
    else:
      yield line, row


def _parse(line: str) -> Row | None:
  """Returns the row of a line, or None if the line is damaged."""
  body, found, checksum = line.rpartition(_CHECKSUM)
  if found and checksum != f'{zlib.crc32(body.encode())}}}':
    return None
  try:
    row = json_text.load(line)
  except ValueError:
    return None
  if not isinstance(row, dict):
    return None
  # Version 0.2 and older wrote no checksums, and no times.
  good = found or 'time' not in row
  # Non-finite numbers are written as null.
  row = {n: math.nan if value is None else value for n, value in row.items()}
  is_row = isinstance(row.get('step'), int) and all(
    isinstance(value, str if name == 'split' else int | float)
    for name, value in row.items()
  )
  return row if good and is_row and 'split' in row else None

"""The metrics file of a run: one JSON object per line."""

from collections.abc import Mapping
import json
import math
import os
import pathlib
from typing import Any, TextIO

from inception.errors import UserError

Row = Mapping[str, Any]

METRICS_FILE = 'metrics.jsonl'


def read_rows(workdir: pathlib.Path) -> list[Row]:
  """Reads the metrics that a run logged.

  Raises:
    UserError: There are none, or the file is damaged.
  """
  path = workdir / METRICS_FILE
  try:
    lines = path.read_text().splitlines()
    rows = [json.loads(line) for line in lines]
  except OSError as error:
    raise UserError(
      f'cannot read {path}: {error.strerror}; give the workdir of a run'
    ) from error
  except json.JSONDecodeError as error:
    raise UserError(f'{path} is damaged: {error}') from error
  if not rows:
    raise UserError(f'{path} is empty: the run has not logged a step yet')
  return rows


def open_after(workdir: pathlib.Path, step: int) -> TextIO:
  """Opens the metrics file for appending; rows of later steps are deleted.

  A run that was killed has logged steps that it repeats when it resumes.
  """
  path = workdir / METRICS_FILE
  kept = []
  if path.exists():
    lines = path.read_text().splitlines()
    kept = [line for line in lines if _step_of(line) <= step]
  temporary = path.with_suffix('.tmp')
  temporary.write_text(''.join(line + '\n' for line in kept))
  os.replace(temporary, path)
  return path.open('a')


def _step_of(line: str) -> float:
  """Returns the step of a row; infinity for a line that was cut short."""
  try:
    return json.loads(line)['step']
  except (json.JSONDecodeError, KeyError, TypeError):
    return math.inf

"""Output files of commands: checked up front, written atomically."""

from collections.abc import Iterable, Mapping, Sequence
import csv
import io
import math
import os
import stat
from typing import Any
import warnings

from inception import paths
from inception.errors import UserError, warn


def resolve(
  path: paths.PathLike, name: str, endings: Sequence[str] = ()
) -> paths.Path:
  """Returns the path of a file that will be written.

  Args:
    path: The file; it will be overwritten.
    name: The flag that names it, such as '--output'.
    endings: Allowed extensions, such as '.csv'; if empty, all are.

  Raises:
    UserError: The extension is not allowed, or the file cannot be written.
  """
  file = paths.resolve(path, name)
  if endings and file.suffix.lower() not in endings:
    raise UserError(f'{name}={file} must end in {" or ".join(endings)}')
  try:
    if not stat.S_ISREG(os.stat(file).st_mode):
      raise UserError(f'{name}={file} is not a file; give a file to write to')
  except FileNotFoundError:
    pass
  except OSError as error:
    raise UserError(f'cannot write {file}: {error.strerror}') from error
  folder = paths.Path(os.path.realpath(file)).parent  # Of a link's target.
  if not os.path.isdir(folder):
    raise UserError(f'there is no folder {folder} for {name}={file.name}')
  if not _may_write(folder):
    raise UserError(f'cannot write to {folder}; choose another {name}')
  return file


def folder(path: paths.PathLike, name: str) -> paths.Path:
  """Returns the path of a folder that will be created and written to.

  Args:
    path: The folder.
    name: The flag that names it, such as '--output'.

  Raises:
    UserError: It cannot be created or written to.
  """
  wanted = paths.resolve(path, name)
  try:
    there = next(part for part in (wanted, *wanted.parents) if part.exists())
  except OSError as error:
    raise UserError(f'cannot write to {wanted}: {error.strerror}') from error
  if not (there.is_dir() and _may_write(there)):
    raise UserError(f'cannot write to {there}; choose another {name}')
  return wanted


def _may_write(folder: paths.Path) -> bool:
  return os.access(folder, os.W_OK | os.X_OK, effective_ids=True)


def picture(path: paths.PathLike, name: str) -> paths.Path:
  """Returns the path of a figure that Matplotlib will write; see `resolve`."""
  from matplotlib import backend_bases  # Slow to import.

  kinds = backend_bases.FigureCanvasBase.get_supported_filetypes()
  file = resolve(path, name)
  if file.suffix.lower()[1:] not in kinds:
    raise UserError(f'{name}={file} must end in .png, .svg or .pdf')
  return file


def figure(width: float, height: float, dpi: float = 120) -> Any:
  """Returns an empty Matplotlib figure; its size is in inches."""
  from matplotlib.figure import Figure  # Slow to import.

  return Figure(figsize=(width, height), dpi=dpi, layout='constrained')


def save(drawn: Any, path: paths.Path) -> None:
  """Writes a figure to a path from `picture`.

  Raises:
    UserError: The file cannot be written.
  """
  content = io.BytesIO()
  with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter('always')
    kind = path.suffix[1:].lower()
    drawn.savefig(content, format=kind, dpi='figure')
  if any('missing from font' in str(each.message) for each in caught):
    warn(f"{path} has boxes for characters that Matplotlib's font lacks")
  paths.write_atomically(path, content.getvalue())


def label(text: str) -> str:
  """Makes text safe for a figure: no formulas, only valid Unicode."""
  return text.encode(errors='replace').decode().replace('$', r'\$')


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
  """Returns rows as CSV, with a header row.

  Other columns are dropped; None, NaN and infinity become empty cells.
  """
  text = io.StringIO()
  writer = csv.writer(text)
  writer.writerow(columns)
  for row in rows:
    values = [row.get(column) for column in columns]
    writer.writerow('' if _is_missing(value) else value for value in values)
  return text.getvalue()


def _is_missing(value: Any) -> bool:
  return value is None or (
    isinstance(value, float) and not math.isfinite(value)
  )


def format_table(
  heading: Sequence[str], rows: Sequence[Sequence[str | int]]
) -> str:
  """Aligns the first column left, others right; separates thousands."""
  cells = [
    [x if isinstance(x, str) else f'{x:,}' for x in row]
    for row in (heading, *rows)
  ]
  widths = [max(map(len, column)) for column in zip(*cells)]
  return '\n'.join(
    '  '.join(
      [row[0].ljust(widths[0])]
      + [x.rjust(width) for x, width in zip(row[1:], widths[1:])]
    ).rstrip()
    for row in cells
  )

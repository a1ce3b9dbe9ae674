"""The report of a sweep: result tables and an HTML page."""

from collections.abc import Mapping
from typing import Any

from inception import paths
from inception.errors import UserError
from inception.reports import run_results, runs
from inception.sweeps import sweep_folder as f
from inception.sweeps.process import last_lines

PAGE = 'report.html'
_LOG_LINES = 20


def collect(
  folder: f.SweepFolder,
) -> tuple[list[run_results.Result], list[str]]:
  """Reads the results of all runs.

  Returns:
    One result per run, and the config fields that the sweep sets.

  Raises:
    UserError: The folder holds no sweep, or one of its files is damaged.
  """
  described = folder.read()['runs']
  fields = list(
    dict.fromkeys(name for run in described.values() for name in run)
  )
  rows = [
    _result(folder, name, overrides) for name, overrides in described.items()
  ]
  return rows, fields


def _result(
  folder: f.SweepFolder, name: str, overrides: Mapping[str, Any]
) -> run_results.Result:
  workdir = folder.workdir(name)
  status = folder.status(name)
  result = {'name': name, **overrides, 'status': 'not started'}
  if status is None:
    return result
  try:
    result.update(run_results.read_result(workdir)[0])
  except UserError as error:
    result['reason'] = str(error)
  result['status'] = status.status
  result['hours'] = round(status.seconds / 3600, 4)
  if status.status == f.FAILED:
    result['reason'] = status.reason
    result['log'] = '\n'.join(last_lines(workdir / f.LOG_FILE, _LOG_LINES))
  return result


def write(folder: f.SweepFolder) -> str:
  """Writes results.csv, results.json, means.csv and the HTML page.

  Returns:
    The path of the page.

  Raises:
    UserError: A file cannot be written.
  """
  path = folder.path / PAGE
  with folder.alone():
    rows, fields = collect(folder)
    run_results.write_results(folder.path, rows, fields)
    overrides = [{name: row.get(name) for name in fields} for row in rows]
    differing = run_results.differing(overrides)
    page = runs.render(f'Sweep {folder.path.name}', rows, differing)
    paths.write_atomically(path, page)
  return str(path)

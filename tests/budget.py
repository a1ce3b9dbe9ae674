"""The budget of the suite: 20 CPU seconds per test that is not marked `slow`.

CPU seconds, including those of child processes, hardly depend on the load of
the machine. Shared fixtures are counted separately. The ten most expensive rows
and the total are printed, all rows are written to `runs/tests.csv`, and a row
above the budget fails the run.
"""

import csv
import os
import pathlib

import pytest

LIMIT = 20.0
FILE = pathlib.Path('runs/tests.csv')
_PRINTED = 10
_TICKS = os.sysconf('SC_CLK_TCK')

_BEGAN = pytest.StashKey[float]()
# In a process that runs tests: shared fixtures set up by the current test.
_shared: list[tuple[str, float]] = []
# In the process that prints: name, CPU seconds, whether it is marked slow.
_rows: list[tuple[str, float, bool]] = []


def cpu_seconds() -> float:
  """Returns the CPU seconds of this process and its descendants so far."""
  times = os.times()
  own = times.user + times.system
  return own + times.children_user + times.children_system + _descendants()


def _descendants() -> float:
  """Returns the CPU seconds of descendants that are still running."""
  fields, children = {}, {}
  for stat in pathlib.Path('/proc').glob('[0-9]*/stat'):
    try:
      after_name = stat.read_text().rpartition(')')[2].split()
    except OSError:  # It has ended.
      continue
    pid, parent = int(stat.parent.name), int(after_name[1])
    fields[pid] = after_name
    children.setdefault(parent, []).append(pid)
  ticks, waiting = 0, children.get(os.getpid(), [])
  while waiting:
    pid = waiting.pop()
    waiting = waiting + children.get(pid, [])
    # User and system time of the process and of children it has waited for.
    ticks += sum(map(int, fields[pid][11:15]))
  return ticks / _TICKS


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef, request):
  """Counts a shared fixture separately."""
  del request
  before = cpu_seconds() if fixturedef.scope != 'function' else None
  try:
    return (yield)
  finally:
    if before is not None:
      name = f'{fixturedef.baseid}::{fixturedef.argname}'
      _shared.append((name, cpu_seconds() - before))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
  """Records the CPU seconds at the start of a test."""
  item.stash[_BEGAN] = cpu_seconds()
  _shared.clear()
  return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
  """Adds the CPU seconds of a test to the last of its reports."""
  report = yield
  if call.when == 'teardown':
    spent = cpu_seconds() - item.stash[_BEGAN]
    spent -= sum(seconds for _, seconds in _shared)
    slow = item.get_closest_marker('slow') is not None
    report.spent = [
      (name, round(seconds, 2), slow)
      for name, seconds in (*_shared, (item.nodeid, spent))
    ]
  return report


def pytest_runtest_logreport(report):
  """Collects the rows of all processes."""
  _rows.extend(map(tuple, getattr(report, 'spent', ())))


def _over_budget() -> list[tuple[str, float, bool]]:
  return [row for row in _rows if row[1] > LIMIT and not row[2]]


def pytest_sessionfinish(session):
  """Writes the rows; fails the run if one is above the budget."""
  if hasattr(session.config, 'workerinput') or not _rows:
    return
  _rows.sort(key=lambda row: -row[1])
  FILE.parent.mkdir(exist_ok=True)
  with FILE.open('w', newline='') as file:
    writer = csv.writer(file)
    writer.writerow(('name', 'cpu_seconds', 'slow'))
    writer.writerows(_rows)
  if _over_budget() and session.exitstatus == pytest.ExitCode.OK:
    session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter):
  """Prints the most expensive rows, the total, and rows above the budget."""
  if not _rows:
    return
  write = terminalreporter.write_line
  terminalreporter.section('CPU seconds')
  for name, seconds, slow in _rows[:_PRINTED]:
    write(f'{seconds:7.1f} {name}{" (slow)" if slow else ""}')
  total = sum(seconds for _, seconds, _ in _rows)
  write(f'{total:7.1f} in all; every test is in {FILE}')
  for name, seconds, _ in _over_budget():
    write(
      f'error: {name} took {seconds:.1f} CPU seconds, more than {LIMIT:.0f}:'
      ' make it smaller, or mark it slow',
      red=True,
    )

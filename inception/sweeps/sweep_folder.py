"""The folder of a sweep: its runs, with their statuses and locks.

DIR/sweep.json              config file and overrides of all runs
DIR/<run>/                  workdir of the run, with these additional files:
DIR/<run>/sweep_status.json its status
DIR/<run>/sweep.lock        locked by the sweep process that runs it
DIR/<run>/log.txt           output of training
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
import dataclasses
import json
from typing import Any

from inception import paths
from inception.config import compare
from inception.errors import UserError
from inception.files import file_lock, json_text
from inception.sweeps.grid import Base, Run

SWEEP_FILE = 'sweep.json'
STATUS_FILE = 'sweep_status.json'
_LOCK_FILE = 'sweep.lock'  # One per run, and one for the whole sweep.
LOG_FILE = 'log.txt'

STARTED = 'started'
FINISHED = 'finished'
FAILED = 'failed'
INTERRUPTED = 'interrupted'
STOPPED_EARLY = 'stopped early'

# Runs with these statuses are not started again.
ENDED = (FINISHED, FAILED, STOPPED_EARLY)


@dataclasses.dataclass(frozen=True)
class Status:
  """Status of a run.

  Attributes:
    status: 'started' (or killed), 'finished', 'failed', 'interrupted' or
      'stopped early' (by a search or ASHA).
    starts: Number of times it was started.
    seconds: Total time of the starts that have ended.
    reason: Why it failed, usually the last line of the log.
  """

  status: str
  starts: int = 0
  seconds: float = 0.0
  reason: str = ''


class SweepFolder:
  """The folder of a sweep, which all engines share."""

  def __init__(self, path: paths.Path):
    """Opens a folder; writes nothing."""
    self.path = path

  def write(
    self, base: Base, runs: Sequence[Run], search: str | None = None
  ) -> None:
    """Creates the folder, or adds runs to it.

    Args:
      base: What all runs have in common.
      runs: All runs of the sweep, or new ones of a search.
      search: Metric that a search maximizes; None if it is not a search.

    Raises:
      UserError: It holds a different sweep, or cannot be written.
    """
    described: dict[str, Any] = {
      'config': base.file,
      'overrides': base.overrides,
      'search': search,
      'resolved': json.loads(compare.to_json(base.config)),
      'runs': {run.name: run.overrides for run in runs},
    }
    paths.check_name(self.path)
    self._check_mine()
    paths.make_writable(self.path)
    with self.alone():
      if paths.exists(self.path / SWEEP_FILE):
        before = self.read()
        self._check_same(before, json.loads(json.dumps(described)))
        self._check_config(before['resolved'], base)
        described['runs'] = {**before['runs'], **described['runs']}
      paths.write_atomically(
        self.path / SWEEP_FILE, json.dumps(described, indent=1)
      )

  def read(self) -> dict[str, Any]:
    """Returns `config`, `overrides`, `search`, `resolved`, and `runs` by name.

    Version 0.4 and older did not write `resolved`, the config of all runs.

    Raises:
      UserError: The folder holds no sweep.
    """
    path = self.path / SWEEP_FILE
    try:
      described = json_text.read(path)
      names = ('config', 'overrides', 'search', 'runs')
      fields = {name: described[name] for name in names}
      fields['runs'] = dict(fields['runs'])
      return {**fields, 'resolved': described.get('resolved')}
    except (KeyError, TypeError, ValueError) as error:
      raise UserError(f'{path} is damaged; move the folder away') from error

  def workdir(self, name: str) -> paths.Path:
    """Returns the workdir of a run."""
    return self.path / name

  def status(self, name: str) -> Status | None:
    """Returns the status of a run; None if it was never started."""
    path = self.workdir(name) / STATUS_FILE
    try:
      if not paths.exists(path):
        return None
      status = Status(**json_text.read(path))
      if not status.starts >= 0 <= status.seconds:
        raise TypeError('negative or NaN')
      return status
    except TypeError as error:
      raise UserError(f'{path} is damaged; delete it to run again') from error

  def set_status(self, name: str, status: Status) -> None:
    """Records the status of a run.

    Raises:
      UserError: It cannot be written.
    """
    text = json.dumps(dataclasses.asdict(status))
    paths.write_atomically(self.workdir(name) / STATUS_FILE, text)

  def ended(self, name: str) -> Status | None:
    """Returns the status of a run that has ended; None for any other run."""
    status = self.status(name)
    return status if status is not None and status.status in ENDED else None

  def retry_failed(self, names: Iterable[str]) -> None:
    """Marks failed runs to be started again.

    Raises:
      UserError: A status is damaged, or cannot be written.
    """
    for name in names:
      status = self.status(name)
      if status is not None and status.status == FAILED:
        with self.lock(name) as locked:
          if locked:
            self.set_status(name, dataclasses.replace(status, status=STARTED))

  def lock(self, name: str) -> AbstractContextManager[object]:
    """Locks a run; the context is None if another process holds the lock."""
    workdir = self.workdir(name)
    paths.make_writable(workdir)
    return file_lock.locked(workdir / _LOCK_FILE, wait=False)

  def alone(self) -> AbstractContextManager[object]:
    """Locks the files of the whole sweep against other sweep processes."""
    return file_lock.locked(self.path / _LOCK_FILE, wait=True)

  def _check_mine(self) -> None:
    """Checks that the folder holds a sweep, or nothing."""
    if not self.path.is_dir():
      return
    # Another process may be writing this sweep: its temporary files are hidden,
    # and its runs come after the sweep file.
    names = [path.name for path in paths.entries(self.path)]
    others = [name for name in names if name[0] != '.' and name != _LOCK_FILE]
    if others and not paths.exists(self.path / SWEEP_FILE):
      raise UserError(
        f'{self.path} is not empty and holds no sweep; choose another --workdir'
      )

  def _check_config(self, before: dict[str, Any] | None, base: Base) -> None:
    """Checks that the config has not changed since the sweep began."""
    if before is None:
      return
    try:
      old = compare.from_json(json.dumps(before))
    # The JSON may have any structure: it has not been validated.
    except (AttributeError, TypeError, ValueError) as error:
      raise UserError(
        f'{self.path / SWEEP_FILE} is damaged; move the folder away'
      ) from error
    if changes := compare.differences(old, base.config):
      raise UserError(
        f'{base.file} has changed since {self.path} began:'
        f' {"; ".join(changes)}; choose another --workdir'
      )

  def _check_same(self, before: dict[str, Any], now: dict[str, Any]) -> None:
    """Checks that the folder holds this sweep or a part of it."""
    missing = before['runs'].keys() - now['runs'].keys()
    for name in ('config', 'overrides', 'search'):
      if before[name] != now[name]:
        raise UserError(
          f'{self.path} holds a different sweep, with {name} {before[name]}'
          f' instead of {now[name]}; choose another --workdir'
        )
    if missing and now['search'] is None:
      raise UserError(
        f'{self.path} holds a different sweep, with the run {min(missing)} that'
        ' this one lacks; choose another --workdir'
      )

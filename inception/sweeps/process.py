"""One run of a sweep: a process that trains in its own workdir."""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import time

from inception.errors import RESTART, UserError
from inception.sweeps import sweep_folder as f
from inception.sweeps.grid import Run

ROOT = pathlib.Path(__file__).parents[2]  # The folder of the package.
TRAIN = (sys.executable, '-m', 'inception.training')

_LAUNCH = str(pathlib.Path(__file__).parent / 'launch.py')
# Restarts after exit status `RESTART` before the run counts as failed.
_RESTARTS = 3
_POLL_SECONDS = 0.5
# Exit statuses of a stopped run: it has saved, or had nothing to save.
_STOPS = (128 + signal.SIGTERM, 128 + signal.SIGINT, -signal.SIGTERM)


@dataclasses.dataclass(frozen=True)
class Place:
  """The devices of a run.

  Attributes:
    cpus: CPU numbers; empty: all.
    environment: Environment variables that select its accelerators.
  """

  cpus: tuple[int, ...] = ()
  environment: Mapping[str, str] = dataclasses.field(default_factory=dict)


class Process:
  """A run that has been started."""

  def __init__(
    self,
    folder: f.SweepFolder,
    run: Run,
    place: Place,
    command: Sequence[str] = TRAIN,
  ):
    """Starts or resumes a run; the caller must hold its lock."""
    self.run = run
    self._folder = folder
    self._command = [
      *(sys.executable, '-I', '-S', _LAUNCH, str(os.getpid())),
      ','.join(map(str, place.cpus)),
      *command,
      *run.flags,
      f'--workdir={folder.workdir(run.name)}',
    ]
    cache = folder.path.absolute() / 'compilation_cache'
    self._environment = {
      # Runs that differ only in numbers share compiled programs.
      'JAX_COMPILATION_CACHE_DIR': str(cache),
      **os.environ,
      'PYTHONPATH': os.pathsep.join(
        filter(None, (str(ROOT), os.environ.get('PYTHONPATH')))
      ),
      **place.environment,
    }
    self._before = folder.status(run.name) or f.Status(f.STARTED)
    self._restarts = 0
    self._wanted: str | None = None
    self._start()

  def poll(self) -> f.Status | None:
    """Returns the status if the run has ended, else None; may restart it."""
    status = self._process.poll()
    if status is None:
      return None
    self._log.close()
    self._before = dataclasses.replace(
      self._before,
      seconds=self._before.seconds + time.monotonic() - self._started,
    )
    if status == RESTART and self._restarts < _RESTARTS:
      self._restarts += 1
      self._start()
      return None
    if status == 0:
      return self._end(f.FINISHED)
    if status in _STOPS:
      return self._end(self._wanted or f.INTERRUPTED)
    return self._end(f.FAILED, self._reason(status))

  def wait(self) -> None:
    """Waits until the run has ended."""
    while self.poll() is None:
      time.sleep(_POLL_SECONDS)

  def kill(self) -> None:
    """Kills the run immediately, as losing its machine would."""
    self._process.kill()
    self._process.wait()
    self._log.close()

  def stop(self, wanted: str = f.INTERRUPTED) -> None:
    """Asks the run to save and exit; its status becomes `wanted`."""
    if self._wanted is None:  # A second signal would kill it.
      self._wanted = wanted
      self._process.send_signal(signal.SIGTERM)

  def _start(self) -> None:
    self._before = dataclasses.replace(
      self._before, status=f.STARTED, starts=self._before.starts + 1, reason=''
    )
    self._folder.set_status(self.run.name, self._before)
    path = self._folder.workdir(self.run.name) / f.LOG_FILE
    self._log = open(path, 'a')  # noqa: SIM115, `poll` closes it.
    self._started = time.monotonic()
    self._process = subprocess.Popen(
      self._command,
      stdin=subprocess.DEVNULL,
      stdout=self._log,
      stderr=subprocess.STDOUT,
      env=self._environment,
      # Another machine may lack this folder; relative paths fail there.
      cwd=self.run.cwd if os.path.isdir(self.run.cwd) else None,
      # Ctrl-C then reaches only the sweep, which stops its runs.
      process_group=0,
    )

  def _end(self, status: str, reason: str = '') -> f.Status:
    ended = dataclasses.replace(self._before, status=status, reason=reason)
    self._folder.set_status(self.run.name, ended)
    return ended

  def _reason(self, status: int) -> str:
    if status < 0:
      name = signal.Signals(-status).name
      hint = '; possibly out of memory' if status == -signal.SIGKILL else ''
      return f'killed by {name}{hint}'
    path = self._folder.workdir(self.run.name) / f.LOG_FILE
    lines = last_lines(path, 1)
    return lines[0] if lines else f'exit status {status}'


def run_to_end(
  folder: f.SweepFolder,
  run: Run,
  place: Place,
  command: Sequence[str] = TRAIN,
  tick: Callable[[Process], None] = lambda _: None,
) -> f.Status:
  """Starts a run and waits for its end; does nothing if it has ended.

  `tick` is called with the process about twice a second.

  Raises:
    UserError: Another process holds the lock of the run.
  """
  with folder.lock(run.name) as locked:
    if not locked:
      raise UserError(f'{run.name} is locked: another sweep process runs it')
    if status := folder.ended(run.name):
      return status
    process = Process(folder, run, place, command)
    try:
      while (ended := process.poll()) is None:
        tick(process)
        time.sleep(_POLL_SECONDS)
    except BaseException:
      process.kill()  # The run must not outlive its lock.
      raise
    return ended


def last_lines(path: os.PathLike, count: int) -> list[str]:
  """Returns the last `count` nonempty lines of a log."""
  try:
    with open(path, 'rb') as file:
      file.seek(max(0, os.path.getsize(path) - 20_000))
      lines = file.read().decode(errors='replace').splitlines()
  except OSError:
    return []
  return [line for line in lines if line.strip()][-count:]

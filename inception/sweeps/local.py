"""The local engine: runs are processes on this machine, some in parallel."""

from collections.abc import Callable, Iterable, Iterator, Sequence
import contextlib
import signal
import time

from inception.processes.signals import stop_signals
from inception.sweeps import sweep_folder as f
from inception.sweeps.grid import Run
from inception.sweeps.process import TRAIN, Place, Process

_POLL_SECONDS = 0.005
_WATCH_SECONDS = 1.0

# Printed when a signal has stopped the sweep.
STOPPED = 'stopped; run the same command again to continue'

# Called with a run and its final status.
Ended = Callable[[Run, f.Status], None]
# Returns True if a run should be stopped early.
Watch = Callable[[Run], bool]


def run_all(
  folder: f.SweepFolder,
  runs: Iterable[Run],
  places: Sequence[Place],
  ended: Ended,
  watch: Watch = lambda _: False,
  command: Sequence[str] = TRAIN,
) -> None:
  """Runs all runs until they have ended.

  Waits for a run that another sweep process has locked, and takes it over if
  that process ends first.

  Args:
    folder: Folder of the sweep.
    runs: The runs; the next one is drawn when a place is free.
    places: Devices of runs; each place takes one run at a time.
    ended: Called for each run that has ended.
    watch: Called for each active run about once a second.
    command: Command that starts training.

  Raises:
    SystemExit: A signal stopped the sweep; its runs have saved.
  """
  with stop_signals() as received, contextlib.ExitStack() as stack:
    engine = _Engine(folder, iter(runs), list(places), ended, watch, command)
    stack.callback(engine.stop)
    while engine.step():
      if received:
        name = signal.Signals(received[0]).name
        print(f'{name}: saving the active runs, then stopping', flush=True)
        engine.stop()
        print(STOPPED, flush=True)
        raise SystemExit(128 + received[0])
      time.sleep(_POLL_SECONDS)


class _Engine:
  """Starts waiting runs when a place is free, and collects ended ones."""

  def __init__(
    self,
    folder: f.SweepFolder,
    runs: Iterator[Run],
    free: list[Place],
    ended: Ended,
    watch: Watch,
    command: Sequence[str],
  ):
    self._folder = folder
    self._runs = runs
    self._free = free
    self._ended = ended
    self._watch = watch
    self._command = command
    self._locked: list[Run] = []  # By other sweep processes.
    self._active: list[tuple[Process, Place, contextlib.ExitStack]] = []
    self._drawn = False
    self._watched = time.monotonic()

  def step(self) -> bool:
    """Collects ended runs and starts new ones; True if work remains."""
    for entry in list(self._active):
      process, place, lock = entry
      if (status := process.poll()) is not None:
        self._active.remove(entry)
        self._free.append(place)
        self._ended(process.run, status)
        lock.close()
    if time.monotonic() - self._watched > _WATCH_SECONDS:
      self._watched = time.monotonic()
      for process, _, _ in self._active:
        if self._watch(process.run):
          process.stop(f.STOPPED_EARLY)
      # Runs of other sweep processes may have ended.
      self._locked = [run for run in self._locked if not self._take(run)]
    while self._free and not self._drawn:
      run = next(self._runs, None)
      self._drawn = run is None
      if run is not None and not self._take(run):
        self._locked.append(run)
    return bool(self._active or self._locked or not self._drawn)

  def stop(self) -> None:
    """Stops all active runs and waits until they have saved."""
    for process, _, _ in self._active:
      process.stop()
    while self._active:
      process, _, lock = self._active[0]
      if process.poll() is not None:
        self._active.pop(0)
        lock.close()
      time.sleep(_POLL_SECONDS)

  def _take(self, run: Run) -> bool:
    """Starts a run, or reports it if it has ended; False if it must wait."""
    if not self._free:
      return False
    lock = contextlib.ExitStack()
    if not lock.enter_context(self._folder.lock(run.name)):
      lock.close()
      return False
    if status := self._folder.ended(run.name):
      lock.close()
      self._ended(run, status)
      return True
    place = self._free.pop(0)
    process = Process(self._folder, run, place, self._command)
    self._active.append((process, place, lock))
    return True

"""Search with Optuna: draws trials from the sweep, stops bad ones early.

The study is stored in study.db in the folder of the sweep, with the name of
each trial's run, so a killed search can resume. A study can be rebuilt from the
runs: if the search space changes, a new study begins with the runs that fit.
"""

from collections.abc import Iterator, Sequence
import contextlib
import logging
from typing import Any

from inception import paths
from inception.errors import count
from inception.observing import metrics
from inception.sweeps import grid, hyper, local, space, study_file
from inception.sweeps import sweep_folder as f
from inception.sweeps.job import EngineOptions
from inception.sweeps.local import Ended
from inception.sweeps.places import find_places
from inception.sweeps.process import TRAIN
from inception.sweeps.study_file import optuna

_STUDY = 'study.db'
_RUN = 'run'  # Attribute of a trial: the name of its run.
_AGAIN = 'again'  # Attribute of the study: number of interrupted trials.
_SPACE = 'space'  # Attribute of the study: search space, set once complete.
_FIRST_EVALUATIONS = 1  # Pruning needs more evaluations than this.


class Study:
  """A search, new or resumed."""

  def __init__(
    self,
    folder: f.SweepFolder,
    base: grid.Base,
    sweep: hyper.Sweep,
    options: EngineOptions,
    trials: int,
  ):
    """Checks the search; writes nothing.

    It draws `trials` trials from `sweep`, counting those of earlier starts, and
    maximizes `options.metric`.

    Raises:
      UserError: The sweep is empty, one of its values is wrong, or the machine
        has too few devices.
    """
    self._folder = folder
    self._base = base
    self._space = space.find_space(sweep)
    self._metric = options.metric
    self._trials = trials
    self._study: optuna.Study
    # Trials that draw the same values share one run.
    self._of_run: dict[str, list[optuna.Trial]] = {}
    self._reported: dict[int, int] = {}
    self._places = find_places(options.parallel, options.devices_per_run)
    for name, drawn in self._space.items():
      if name == space.ROW:
        continue  # Rows are checked when they are drawn.
      if isinstance(drawn, hyper.Interval):
        drawn = (drawn.low, drawn.high)
      for value in drawn:
        grid.check_overrides(base.config, {name: value})

  def describe(self) -> str:
    """Returns one line per drawn field."""
    return '\n'.join(f'{name}: {drawn}' for name, drawn in self._space.items())

  def run(self, ended: Ended, command: Sequence[str] = TRAIN) -> None:
    """Runs the remaining trials.

    Raises:
      UserError: The folder holds a different sweep or cannot be written, or
        the study file is damaged.
    """

    def both(run: grid.Run, status: f.Status) -> None:
      self._tell(run, status)
      ended(run, status)

    self._folder.write(self._base, [], self._metric)
    optuna.logging.set_verbosity(logging.ERROR)
    path = self._folder.path / _STUDY
    with study_file.named(path):
      with self._folder.alone():
        self._open(path)
      local.run_all(
        self._folder, self._draw(), self._places, both, self._is_bad, command
      )

  def _open(self, path: paths.Path) -> None:
    """Opens the study, or begins a new one if the search space has changed."""
    described = space.describe(self._space)
    self._study = study_file.open_file(path, self._base.config.seed)
    if self._study.user_attrs.get(_SPACE) == described:
      return
    runs = self._folder.read()['runs'].values()
    found = [space.drawn_for(self._space, overrides) for overrides in runs]
    known = [drawn for drawn in found if drawn is not None]
    if self._study.trials:
      kept = study_file.set_aside(path)
      self._study = study_file.open_file(path, self._base.config.seed)
      print(
        f'the search space has changed: {path} is now {kept.name}; a new study'
        f' begins with {count(len(known), "earlier run")}',
        flush=True,
      )
    for drawn in known:
      self._study.enqueue_trial(drawn)
    self._study.set_user_attr(_SPACE, described)

  def _draw(self) -> Iterator[grid.Run]:
    """Yields the runs of trials: interrupted ones first, then new ones."""
    self._enqueue_interrupted()
    while self._count() < self._trials or self._study.get_trials(
      states=(optuna.trial.TrialState.WAITING,)
    ):
      yield self._run_of(self._study.ask())

  def _enqueue_interrupted(self) -> None:
    """Queues interrupted trials before new ones; their runs resume."""
    states = optuna.trial.TrialState
    for frozen in self._study.get_trials(states=(states.RUNNING,)):
      name = frozen.user_attrs.get(_RUN)
      with contextlib.ExitStack() as stack:
        if name and not stack.enter_context(self._folder.lock(name)):
          continue  # Another process of this search is running it.
        self._study.tell(frozen.number, state=states.FAIL)
        again = self._study.user_attrs.get(_AGAIN, 0)
        self._study.set_user_attr(_AGAIN, again + 1)
        self._study.enqueue_trial(frozen.params)

  def _count(self) -> int:
    """Returns the number of trials; an interrupted one counts once."""
    return len(self._study.trials) - self._study.user_attrs.get(_AGAIN, 0)

  def _run_of(self, trial: optuna.Trial) -> grid.Run:
    drawn = {
      name: _suggest(trial, name, drawn) for name, drawn in self._space.items()
    }
    row = drawn.pop(space.ROW, {})
    run = grid.make_run(self._base, {**row, **drawn})
    trial.set_user_attr(_RUN, run.name)
    self._of_run.setdefault(run.name, []).append(trial)
    self._folder.write(self._base, [run], self._metric)
    return run

  def _is_bad(self, run: grid.Run) -> bool:
    """Reports the evaluations of a run; True if it should be stopped."""
    trial = self._of_run[run.name][0]
    values = self._values(run)
    self._report(trial, values)
    return len(values) > _FIRST_EVALUATIONS and bool(trial.should_prune())

  def _report(
    self, trial: optuna.Trial, values: Sequence[tuple[int, float]]
  ) -> None:
    """Reports new evaluations to the study."""
    known = self._reported.get(trial.number, 0)
    for step, value in values[known:]:
      trial.report(value, step)
    self._reported[trial.number] = len(values)

  def _tell(self, run: grid.Run, status: f.Status) -> None:
    states = optuna.trial.TrialState
    values = self._values(run)
    if status.status == f.INTERRUPTED:
      return  # The trial stays RUNNING, and resumes at the next start.
    for trial in self._of_run.pop(run.name, []):
      self._report(trial, values)
      if status.status == f.FINISHED and values:
        self._study.tell(trial, values[-1][1])
      elif status.status == f.STOPPED_EARLY:
        self._study.tell(trial, state=states.PRUNED)
      else:
        self._study.tell(trial, state=states.FAIL)

  def _values(self, run: grid.Run) -> list[tuple[int, float]]:
    """Returns step and metric of each evaluation of a run."""
    return metrics.evaluations(self._folder.workdir(run.name), self._metric)


def _suggest(trial: optuna.Trial, name: str, drawn: Any) -> Any:
  if isinstance(drawn, hyper.Interval):
    return trial.suggest_float(name, drawn.low, drawn.high, log=drawn.log)
  values = {space.stored(value): value for value in drawn}
  return values[trial.suggest_categorical(name, list(values))]

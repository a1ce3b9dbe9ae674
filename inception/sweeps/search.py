"""Search with Optuna: trials drawn from the sweep, bad ones stopped early.

The study is kept in study.db in the folder of the sweep, with the name of each
trial's run, so a search that was killed goes on where it was.
"""

from collections.abc import Iterator, Mapping, Sequence
import contextlib
import json
import logging
from typing import Any

from inception import metrics
from inception.errors import UserError
from inception.sweeps import folder as f
from inception.sweeps import hyper, local, plan
from inception.sweeps.engines import Options
from inception.sweeps.local import Ended
from inception.sweeps.places import find_places
from inception.sweeps.process import TRAIN

try:
  import optuna
except ImportError as missing:
  raise UserError(
    "--search=optuna needs Optuna; pip install 'inception-jax[sweeps]'"
  ) from missing

_STUDY = 'study.db'
_RUN = 'run'  # Attribute of a trial: the name of its run.
_AGAIN = 'again'  # Attribute of the study: trials that were cut short.
# Trials before the first is compared with the median, and evaluations before
# a trial is.
_FIRST_TRIALS = 4
_FIRST_EVALUATIONS = 1


class Study:
  """A search, new or resumed."""

  def __init__(
    self,
    folder: f.SweepFolder,
    base: plan.Base,
    sweep: hyper.Sweep,
    options: Options,
    trials: int,
  ):
    """Opens the study; see `open_study`."""
    self._folder = folder
    self._base = base
    self._space = find_space(sweep)
    self._sweep = sweep
    self._metric = options.metric
    self._trials = trials
    self._study: optuna.Study
    # Several trials may draw the same values, which run once.
    self._of_run: dict[str, list[optuna.Trial]] = {}
    self._reported: dict[int, int] = {}
    self._places = find_places(options.parallel, options.devices_per_run)

  def describe(self) -> str:
    """Returns a line per field that is drawn."""
    return '\n'.join(f'{name}: {space}' for name, space in self._space.items())

  def run(self, ended: Ended, command: Sequence[str] = TRAIN) -> None:
    """Runs the trials that are left.

    Args:
      ended: Called for each run that has ended.
      command: Starts train.py.

    Raises:
      UserError: The folder holds another sweep, or cannot be written.
    """
    self._folder.write(self._base, [], self._metric)
    optuna.logging.set_verbosity(logging.ERROR)
    self._study = optuna.create_study(
      storage=f'sqlite:///{self._folder.path.absolute() / _STUDY}',
      study_name='sweep',
      direction='maximize',
      load_if_exists=True,
      sampler=optuna.samplers.TPESampler(seed=self._base.config.seed),
      pruner=optuna.pruners.MedianPruner(_FIRST_TRIALS),
    )

    def both(run: plan.Run, status: f.Status) -> None:
      self._tell(run, status)
      ended(run, status)

    local.run_all(
      self._folder,
      self._draw(),
      self._places,
      both,
      self._is_bad,
      command,
    )

  def _draw(self) -> Iterator[plan.Run]:
    """Yields the runs of trials: those that were cut short, then new ones."""
    self._enqueue_interrupted()
    while self._count() < self._trials or self._study.get_trials(
      states=(optuna.trial.TrialState.WAITING,)
    ):
      yield self._run_of(self._study.ask())

  def _enqueue_interrupted(self) -> None:
    """Makes the next trials those that were cut short; their runs resume."""
    states = optuna.trial.TrialState
    for frozen in self._study.get_trials(states=(states.RUNNING,)):
      name = frozen.user_attrs.get(_RUN)
      with contextlib.ExitStack() as stack:
        if name and not stack.enter_context(self._folder.lock(name)):
          continue  # Another process of this search takes care of it.
        self._study.tell(frozen.number, state=states.FAIL)
        again = self._study.user_attrs.get(_AGAIN, 0)
        self._study.set_user_attr(_AGAIN, again + 1)
        self._study.enqueue_trial(frozen.params)

  def _count(self) -> int:
    """Returns the number of trials; one that was cut short counts once."""
    return len(self._study.trials) - self._study.user_attrs.get(_AGAIN, 0)

  def _run_of(self, trial: optuna.Trial) -> plan.Run:
    drawn = {
      name: _suggest(trial, name, space) for name, space in self._space.items()
    }
    run = plan.make_run(self._base, self._overrides(drawn))
    trial.set_user_attr(_RUN, run.name)
    self._of_run.setdefault(run.name, []).append(trial)
    self._folder.write(self._base, [run], self._metric)
    return run

  def _overrides(self, drawn: Mapping[str, Any]) -> hyper.Overrides:
    if _ROW not in drawn:
      return dict(drawn)
    row = self._sweep[drawn[_ROW]]
    return {**row, **{k: v for k, v in drawn.items() if k != _ROW}}

  def _is_bad(self, run: plan.Run) -> bool:
    """Reports the evaluations of a run; True if it is to be stopped."""
    trial = self._of_run[run.name][0]
    values = self._values(run)
    self._report(trial, values)
    return len(values) > _FIRST_EVALUATIONS and bool(trial.should_prune())

  def _report(
    self, trial: optuna.Trial, values: Sequence[tuple[int, float]]
  ) -> None:
    """Tells the study about evaluations, each once."""
    known = self._reported.get(trial.number, 0)
    for step, value in values[known:]:
      trial.report(value, step)
    self._reported[trial.number] = len(values)

  def _tell(self, run: plan.Run, status: f.Status) -> None:
    states = optuna.trial.TrialState
    values = self._values(run)
    if status.status == f.INTERRUPTED:
      return  # It stays RUNNING, and goes on next time.
    for trial in self._of_run.pop(run.name, []):
      self._report(trial, values)
      if status.status == f.FINISHED and values:
        self._study.tell(trial, values[-1][1])
      elif status.status == f.STOPPED_EARLY:
        self._study.tell(trial, state=states.PRUNED)
      else:
        self._study.tell(trial, state=states.FAIL)

  def _values(self, run: plan.Run) -> list[tuple[int, float]]:
    """Returns the metric of the evaluations of a run, by step."""
    return metrics.evaluations(self._folder.workdir(run.name), self._metric)


# What is drawn where the sweep is no product of its fields: a row of it.
_ROW = 'row of the sweep'

Space = Mapping[str, hyper.Interval | Sequence[Any]]


def find_space(sweep: hyper.Sweep) -> Space:
  """Returns what a search draws from.

  Fields are drawn independently where the sweep holds every combination of
  their values. Otherwise one of its rows is drawn.

  Raises:
    UserError: The sweep is empty.
  """
  if not sweep:
    raise UserError('the sweep is empty: there is nothing to draw')
  space: dict[str, Any] = {}
  combinations = 1
  for field in dict.fromkeys(name for row in sweep for name in row):
    values = [row.get(field) for row in sweep]
    first = values[0]
    if isinstance(first, hyper.Interval):
      space[field] = first
    elif isinstance(first, hyper.Choice):
      space[field] = list(first.values)
    else:
      texts = {json.dumps(value): value for value in values}
      space[field] = list(texts.values())
      combinations *= len(texts)
  if combinations == len(sweep):
    return space
  drawn = {
    field: part
    for field, part in space.items()
    if isinstance(sweep[0].get(field), hyper.Interval | hyper.Choice)
  }
  return {_ROW: list(range(len(sweep))), **drawn}


def _suggest(trial: optuna.Trial, name: str, space: Any) -> Any:
  if isinstance(space, hyper.Interval):
    return trial.suggest_float(name, space.low, space.high, log=space.log)
  # Optuna stores texts and numbers; a position stands for anything else.
  position = trial.suggest_categorical(name, list(range(len(space))))
  return space[position]


def open_study(
  folder: f.SweepFolder,
  base: plan.Base,
  sweep: hyper.Sweep,
  options: Options,
  trials: int,
) -> Study:
  """Checks and opens a search.

  Args:
    folder: Folder of the sweep.
    base: What all runs have in common.
    sweep: What is drawn from.
    options: How runs are started, and the metric that is maximized.
    trials: Number of trials, with those of earlier starts.

  Raises:
    UserError: The sweep is empty, a value of it is wrong, or the machine has
      too few devices.
  """
  study = Study(folder, base, sweep, options, trials)
  for name, space in find_space(sweep).items():
    ends = (
      (space.low, space.high) if isinstance(space, hyper.Interval) else space
    )
    for value in ends if name != _ROW else ():
      plan.check_overrides(base.config, {name: value})
  return study

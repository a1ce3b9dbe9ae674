"""Engines and searches of other packages; the runs are stubs."""

import importlib.util
import json
import os
import signal
import subprocess
import time

import pytest

from inception import paths
from inception.errors import UserError
from inception.sweeps import hyper, space
from inception.sweeps import sweep_folder as f
from inception.sweeps.job import EngineOptions, Job
from tests import warm
from tests.sweeps.driver import BASE, STUB
from tests.sweeps.test_local import (
  alive,
  kill_until_done,
  runs_of,
  start,
  starts,
)
from tests.waiting import LIMIT, wait_for

# `make test` does without these packages.
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures('python')]


def needs(package):
  missing = importlib.util.find_spec(package) is None
  return pytest.mark.skipif(missing, reason=f'{package} is not installed')


@needs('ray')
def test_a_killed_ray_sweep_resumes_and_leaves_no_orphans(tmp_path):
  seeds = range(4)
  output = kill_until_done('ray', tmp_path / 's', seeds, 2, 16.0)
  assert output.count('finished') == 4
  for run in runs_of(*seeds):
    steps = (tmp_path / 's' / run.name / 'steps').read_text().split()
    assert steps == [str(step) for step in range(1, 11)]  # Each step once.
  assert not alive(tmp_path / 's')


@needs('ray')
def test_asha_ends_bad_runs_early(tmp_path):
  bad = [500, 900]
  process = start('asha', tmp_path / 's', [0, 1, *bad], seconds=10)
  output, error = process.communicate(timeout=LIMIT)
  assert process.returncode == 0, error
  (best,) = runs_of(0)
  assert f'{best.name} finished' in output  # Others may be worse than it.
  for run in runs_of(*bad):
    assert f'{run.name} stopped early' in output
    steps = (tmp_path / 's' / run.name / 'steps').read_text().split()
    assert 1 <= len(steps) < 10
  assert not alive(tmp_path / 's')


@needs('ray')
def test_a_cluster_that_is_not_running_is_reported(tmp_path):
  from inception.sweeps import ray_tune

  with pytest.raises(UserError, match='cannot connect to Ray at localhost:1'):
    ray_tune.connect(job(tmp_path / 's', 0, address='localhost:1'))
  with pytest.raises(UserError, match='--address=auto is not HOST:PORT'):
    ray_tune.connect(job(tmp_path / 's', 0, address='auto'))


def job(path, *seeds, **options):
  folder = f.SweepFolder(paths.resolve(path))
  runs = runs_of(*seeds)
  folder.write(BASE, runs)
  return Job(folder, runs, lambda *_: None, EngineOptions(**options))


@needs('submitit')
@pytest.mark.parametrize('cluster', ['local', 'debug'])
def test_slurm_tasks_run(tmp_path, cluster):
  from inception.sweeps import slurm

  todo = job(tmp_path / 's', 0, 77)
  submitted = slurm.submit(todo, cluster, STUB)
  assert [each.result() for each in submitted] == [f.FINISHED, f.FAILED]
  assert starts(tmp_path / 's') == {run.name: 1 for run in todo.runs}


@needs('submitit')
def test_a_preempted_task_saves_and_resumes(tmp_path, monkeypatch):
  """What submitit does when Slurm preempts a task."""
  from inception.sweeps import slurm

  todo = job(tmp_path / 's', 0)
  (run,) = todo.runs
  code = (
    'import signal, os\n'
    'from inception.sweeps import slurm\n'
    'from tests.sweeps import driver, test_local\n'
    f'task = slurm.Task({str(todo.folder.path)!r}, *test_local.runs_of(0),'
    ' driver.STUB)\n'
    'def take_off(*_):\n'
    '  print(type(task.checkpoint()).__name__, flush=True)\n'
    '  os._exit(0)\n'
    'signal.signal(signal.SIGUSR2, take_off)\n'
    'task()\n'
  )
  process = subprocess.Popen(
    [warm.python(), '-c', code],
    env={**os.environ, 'STUB_SECONDS': '600'},
    stdout=subprocess.PIPE,
    text=True,
  )
  steps = todo.folder.workdir(run.name) / 'steps'
  wait_for('a first step', steps.exists, [process])
  time.sleep(1)
  process.send_signal(signal.SIGUSR2)
  assert process.communicate(timeout=LIMIT)[0] == 'DelayedSubmission\n'
  assert todo.folder.status(run.name).status == f.INTERRUPTED
  monkeypatch.setenv('STUB_SECONDS', '1')
  assert slurm.Task(str(todo.folder.path), run, STUB)() == f.FINISHED


@needs('submitit')
def test_the_slurm_script(tmp_path, monkeypatch):
  from inception.sweeps import slurm

  folder = tmp_path / 'bin'
  folder.mkdir()
  (folder / 'srun').write_text('')
  (folder / 'srun').chmod(0o755)
  todo = job(
    tmp_path / 's', 0, 1, 2, slurm=['partition=gpu', 'time=60'], parallel=2
  )
  monkeypatch.setenv('PATH', '/nowhere')
  with pytest.raises(UserError, match='Slurm'):
    slurm.make_executor(todo)
  monkeypatch.setenv('PATH', f'{folder}:{os.environ["PATH"]}')
  text = slurm.script(todo)
  for line in (
    '#SBATCH --array=0-2%2',
    '#SBATCH --partition=gpu',
    '#SBATCH --time=60',
    '#SBATCH --signal=USR2@90',
  ):
    assert line in text
  with pytest.raises(UserError, match='colour'):
    slurm.make_executor(job(tmp_path / 'x', 0, slurm=['colour=red']))
  with pytest.raises(UserError, match='--slurm=gpu has no value'):
    slurm.make_executor(job(tmp_path / 'x', 0, slurm=['gpu']))


@pytest.mark.parametrize(
  'sweep, expected',
  [
    (
      hyper.product([hyper.sweep('a', [1, 2]), hyper.sweep('b', [3, 4])]),
      {'a': [1, 2], 'b': [3, 4]},
    ),
    (
      hyper.sweep('a', hyper.log_uniform(1, 2)),
      {'a': hyper.log_uniform(1, 2)},
    ),
    (hyper.sweep('a', hyper.choice('xy')), {'a': ['x', 'y']}),
    (
      hyper.zipit([hyper.sweep('a', [1, 2]), hyper.sweep('b', [3, 4])]),
      {'row of the sweep': [{'a': 1, 'b': 3}, {'a': 2, 'b': 4}]},
    ),
  ],
)
def test_a_search_draws_from_the_same_space(sweep, expected):
  assert space.find_space(sweep) == expected


def search_with(path, sweep, trials):
  """Runs a search; returns its trials."""
  import optuna

  from inception.sweeps import search

  folder = f.SweepFolder(paths.resolve(path))
  search.Study(folder, BASE, sweep, EngineOptions(), trials).run(
    lambda *_: None, STUB
  )
  # Optuna formats the URL, so braces are doubled.
  file = str(path / 'study.db').replace('{', '{{').replace('}', '}}')
  storage = f'sqlite:///{file}'
  return optuna.load_study(study_name='sweep', storage=storage).trials


@needs('optuna')
def test_a_search_resumes_and_finds_the_best(tmp_path, monkeypatch):
  monkeypatch.setenv('JAX_PLATFORMS', 'cpu')
  folder = f.SweepFolder(paths.resolve(tmp_path / 's'))
  sweep = hyper.sweep('seed', hyper.choice(range(4)))
  assert len(search_with(tmp_path / 's', sweep, 2)) == 2
  trials = search_with(tmp_path / 's', sweep, 6)
  assert len(trials) == 6
  names = {trial.user_attrs['run'] for trial in trials}
  # Trials with the same values share a run, which was trained once.
  assert starts(tmp_path / 's') == {name: 1 for name in names}
  drawn = {trial.params['seed']: trial.value for trial in trials}
  assert all(value == 1 - seed / 1000 for seed, value in drawn.items())
  with pytest.raises(UserError, match='holds a different sweep, with search'):
    folder.write(BASE, runs_of(0))


@needs('optuna')
def test_a_search_of_other_values_keeps_the_runs_that_fit(
  tmp_path, monkeypatch, capsys
):
  monkeypatch.setenv('JAX_PLATFORMS', 'cpu')
  path = tmp_path / '{s}'

  def check(sweep, name, expected, trials=8):
    """Checks that scores match their values and that no run trains twice."""
    scores = {}
    for trial in search_with(path, sweep, trials):
      scores.setdefault(str(trial.params[name]), set()).add(trial.value)
    assert scores == {value: {score} for value, score in expected.items()}
    assert set(starts(path).values()) == {1}

  def seeds(*values):
    return hyper.sweep('seed', hyper.choice(values))

  check(seeds(0, 1), 'seed', {'0': 1.0, '1': 0.999})
  check(seeds(500, 1), 'seed', {'1': 0.999, '500': 0.5})
  assert 'a new study begins with 1 earlier run' in capsys.readouterr().out
  check(seeds(500, 1), 'seed', {'1': 0.999, '500': 0.5})
  assert not capsys.readouterr().out
  # No earlier run records the width of these rows.
  rows = hyper.zipit(
    [hyper.sweep('seed', [1, 7]), hyper.sweep('model.width', [1.0, 0.5])]
  )
  texts = [json.dumps(row) for row in rows]
  check(rows, 'row of the sweep', {texts[0]: 0.999, texts[1]: 0.993})
  check(rows[::-1], 'row of the sweep', {texts[0]: 0.999, texts[1]: 0.993})
  # A study can be rebuilt from its runs.
  (path / 'study.db').write_bytes(b'damaged')
  with pytest.raises(UserError, match='study.db is damaged or cannot be'):
    check(rows, 'row of the sweep', {})
  (path / 'study.db').unlink()
  check(rows, 'row of the sweep', {texts[0]: 0.999, texts[1]: 0.993}, 0)


def test_rows_of_a_search_draw_a_field_in_the_same_way():
  sweep = hyper.chainit(
    [hyper.sweep('a', [1]), hyper.sweep('a', hyper.uniform(1, 2))]
  )
  with pytest.raises(UserError, match='a must be drawn in the same way'):
    space.find_space(sweep)


@needs('optuna')
def test_a_search_stops_trials_that_are_worse_than_the_median(
  tmp_path, monkeypatch
):
  import optuna

  from inception.sweeps import search, study_file

  monkeypatch.setenv('JAX_PLATFORMS', 'cpu')
  folder = f.SweepFolder(paths.resolve(tmp_path / 's'))

  def run(seeds, trials, seconds):
    monkeypatch.setenv('STUB_SECONDS', str(seconds))
    sweep = hyper.sweep('seed', hyper.choice(seeds))
    study = search.Study(folder, BASE, sweep, EngineOptions(), trials)
    study.run(lambda *_: None, STUB)
    return optuna.load_study(
      study_name='sweep', storage=f'sqlite:///{tmp_path}/s/study.db'
    ).trials

  monkeypatch.setattr(study_file, '_FIRST_TRIALS', 1)
  run([0], 1, 0.1)
  monkeypatch.setattr(search, '_suggest', lambda *_: 900)  # Much worse.
  bad = run([0], 2, 60)[-1]
  assert bad.state == optuna.trial.TrialState.PRUNED
  assert 1 < len(bad.intermediate_values) < 10
  status = folder.status(bad.user_attrs['run']).status
  assert status == f.STOPPED_EARLY


@needs('optuna')
def test_bad_values_of_a_search_are_refused(tmp_path):
  from inception.sweeps import search

  folder = f.SweepFolder(paths.resolve(tmp_path / 's'))
  sweep = hyper.sweep('model.dropout', hyper.uniform(0, 2))
  with pytest.raises(UserError, match='model.dropout=2 is out of range'):
    search.Study(folder, BASE, sweep, EngineOptions(), 2)
  assert not (tmp_path / 's').exists()

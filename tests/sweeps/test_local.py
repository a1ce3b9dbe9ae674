"""Runs of a sweep on this machine: kept, resumed, retried, never repeated."""

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest

from inception import paths
from inception.errors import UserError
from inception.sweeps import grid, hyper, local, sweep_report
from inception.sweeps import sweep_folder as f
from inception.sweeps.places import find_places
from inception.sweeps.process import Place, run_to_end
from tests import warm
from tests.sweeps.driver import BASE, STUB
from tests.waiting import LIMIT, wait_for

pytestmark = pytest.mark.usefixtures('python')

FAILS = 77


def runs_of(*seeds):
  return grid.make_runs(BASE, hyper.sweep('seed', seeds))


def sweep(path, runs):
  """Runs all, two at a time; returns how each ended."""
  folder = f.SweepFolder(paths.resolve(path))
  folder.write(BASE, runs)
  ended = {}
  local.run_all(
    folder,
    runs,
    [Place(), Place()],
    lambda run, status: ended.__setitem__(run.name, status),
    command=STUB,
  )
  return ended


def starts(path):
  """Returns the number of starts of train.py, by run."""
  return {
    file.parent.name: len(file.read_text().splitlines())
    for file in path.glob('*/starts')
  }


def test_a_sweep_whose_config_file_was_edited_is_refused(tmp_path):
  folder = f.SweepFolder(paths.resolve(tmp_path / 's'))
  folder.write(BASE, runs_of(0))
  config = BASE.config.copy_and_resolve_references()
  config.num_epochs = 0.125
  config.keep_checkpoints = 9  # A resumed run may change this.
  edited = dataclasses.replace(BASE, config=config)
  with pytest.raises(UserError, match=r'num_epochs: .*, now 0.125; choose'):
    folder.write(edited, grid.make_runs(edited, hyper.sweep('seed', [0, 1])))


def test_a_sweep_of_an_older_version_resumes(tmp_path):
  folder = f.SweepFolder(paths.resolve(tmp_path / 's'))
  folder.write(BASE, runs_of(0))
  described = json.loads((folder.path / f.SWEEP_FILE).read_text())
  del described['resolved']
  (folder.path / f.SWEEP_FILE).write_text(json.dumps(described))
  folder.write(BASE, runs_of(0, 1))
  assert folder.read()['resolved'] is not None


def test_a_folder_whose_runs_could_not_be_read_again_is_refused(tmp_path):
  for name in ('a[b]', 'a*', 'a\\b', 'a\nb', os.fsdecode(b'\xff')):
    with pytest.raises(UserError, match='has (the|a control) character'):
      f.SweepFolder(paths.resolve(tmp_path / name)).write(BASE, runs_of(0))


def test_a_failed_run_does_not_stop_the_others(tmp_path):
  runs = runs_of(0, FAILS, 1)
  ended = sweep(tmp_path / 's', runs)
  assert [ended[run.name].status for run in runs] == [
    f.FINISHED,
    f.FAILED,
    f.FINISHED,
  ]
  assert ended[runs[1].name].reason == 'error: the picture is broken'
  # Run again: nothing is started.
  assert sweep(tmp_path / 's', runs).keys() == ended.keys()
  assert set(starts(tmp_path / 's').values()) == {1}
  folder = f.SweepFolder(paths.resolve(tmp_path / 's'))
  folder.retry_failed(run.name for run in runs)
  sweep(tmp_path / 's', runs)
  assert starts(tmp_path / 's')[runs[1].name] == 2
  rows, fields = sweep_report.collect(folder)
  assert fields == ['seed']
  assert [row.get('top1') for row in rows] == [100.0, None, 99.9]
  assert 'starting\nerror: the picture' in rows[1]['log']


def start(engine, path, seeds, seconds=1.0):
  return subprocess.Popen(
    [
      *(warm.python(), '-m', 'tests.sweeps.driver', engine, str(path)),
      *map(str, seeds),
    ],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    env={**os.environ, 'JAX_PLATFORMS': 'cpu', 'STUB_SECONDS': str(seconds)},
    start_new_session=True,
  )


def alive(path):
  """Returns the stubs of a sweep that are still running."""
  found = subprocess.run(['pgrep', '-f', str(path)], capture_output=True)
  return found.stdout.split()


def is_gone(path):
  """Waits for the stubs of a killed sweep to notice; True if all have ended."""
  end = time.monotonic() + 60
  while alive(path) and time.monotonic() < end:
    time.sleep(0.1)
  return not alive(path)


def kill_until_done(engine, path, seeds, kills, most_seconds):
  """Kills a sweep at random moments, then lets it finish."""
  generator = random.Random(0)
  for kill in range(kills):
    # No run would end by itself after the last kill.
    seconds = 600.0 if kill == kills - 1 else 1.0
    process = start(engine, path, seeds, seconds)
    time.sleep(generator.uniform(most_seconds / 2, most_seconds))
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert is_gone(path), f'still there after a minute: {alive(path)}'
  process = start(engine, path, seeds)
  output, error = process.communicate(timeout=LIMIT)
  assert process.returncode == 0, error
  return output


@pytest.mark.parametrize('kills', [2, pytest.param(5, marks=pytest.mark.slow)])
def test_a_killed_sweep_resumes_and_leaves_no_orphans(tmp_path, kills):
  seeds = range(6)
  output = kill_until_done('local', tmp_path / 's', seeds, kills, 3.0)
  assert output.count('finished') == 6
  for run in runs_of(*seeds):
    steps = (tmp_path / 's' / run.name / 'steps').read_text().split()
    assert steps == [str(step) for step in range(1, 11)]  # Each step once.
    assert 1 <= starts(tmp_path / 's')[run.name] <= 4
  rows = json.loads((tmp_path / 's' / 'results.json').read_text())['runs']
  assert [row['top1'] for row in rows] == [100 - s / 10 for s in seeds]


def test_two_sweeps_share_the_runs(tmp_path):
  both = [start('local', tmp_path / 's', range(6), 0.5) for _ in range(2)]
  for process in both:
    output, error = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, error
    assert output.count('finished') == 6
  assert starts(tmp_path / 's') == {run.name: 1 for run in runs_of(*range(6))}


def test_one_process_at_a_time_writes_the_page(tmp_path):
  folder = f.SweepFolder(paths.resolve(tmp_path / 's'))
  folder.write(BASE, runs_of(0))
  other = threading.Thread(target=sweep_report.write, args=[folder])
  with folder.alone():
    other.start()
    other.join(0.5)
    assert (
      other.is_alive() and not (tmp_path / 's' / sweep_report.PAGE).exists()
    )
  other.join()
  assert (tmp_path / 's' / sweep_report.PAGE).exists()


def test_a_signal_also_stops_the_runs(tmp_path):
  process = start('local', tmp_path / 's', range(2), 60)
  wait_for(
    'the start of both runs',
    lambda: len(starts(tmp_path / 's')) == 2,
    [process],
  )
  process.send_signal(signal.SIGTERM)
  output, _ = process.communicate(timeout=LIMIT)
  assert process.returncode == 128 + signal.SIGTERM
  assert output.splitlines()[-2:] == [
    'SIGTERM: saving the active runs, then stopping',
    'stopped; run the same command again to continue',
  ]
  assert not alive(tmp_path / 's')
  folder = f.SweepFolder(paths.resolve(tmp_path / 's'))
  statuses = {folder.status(run.name).status for run in runs_of(0, 1)}
  assert statuses == {f.INTERRUPTED}


def test_a_folder_holds_one_sweep(tmp_path):
  folder = f.SweepFolder(paths.resolve(tmp_path / 's'))
  folder.write(BASE, runs_of(0, 1))
  folder.write(BASE, runs_of(0, 1, 2))  # More of the same.
  with pytest.raises(UserError, match='holds a different sweep, with the run'):
    folder.write(BASE, runs_of(0, 1))
  other = grid.Base('configs/digits.py', 'configs/digits.py', BASE.config, {})
  with pytest.raises(UserError, match='with config configs/default.py'):
    folder.write(other, runs_of(0, 1, 2))
  # What another process writes before its sweep file.
  (tmp_path / 'new').mkdir()
  for name in ('.writable', 'sweep.lock', '.sweep.json.tmp'):
    (tmp_path / 'new' / name).touch()
  f.SweepFolder(paths.resolve(tmp_path / 'new')).write(BASE, runs_of(0))
  (tmp_path / 'x').mkdir()
  (tmp_path / 'x' / 'thesis.txt').write_text('x')
  with pytest.raises(UserError, match='is not empty and holds no sweep'):
    f.SweepFolder(paths.resolve(tmp_path / 'x')).write(BASE, runs_of(0))
  with pytest.raises(UserError, match='y/sweep.json: No such file'):
    f.SweepFolder(paths.resolve(tmp_path / 'y')).read()


def test_places_share_the_devices_of_the_machine(monkeypatch):
  monkeypatch.setenv('JAX_PLATFORMS', 'cpu')
  assert find_places(None, 1) == [Place()]
  halves = find_places(2, 1)
  cpus = sorted(cpu for place in halves for cpu in place.cpus)
  assert cpus == sorted(os.sched_getaffinity(0))
  with pytest.raises(UserError, match='CPUs'):
    find_places(10_000, 1)
  with pytest.raises(UserError, match='accelerators'):
    find_places(1, 2)
  monkeypatch.delenv('JAX_PLATFORMS')
  monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '3,5,6,7')
  shown = [p.environment['CUDA_VISIBLE_DEVICES'] for p in find_places(None, 2)]
  assert shown == ['3,5', '6,7']
  assert len(find_places(None, 1)) == 4
  with pytest.raises(UserError, match='4 accelerators'):
    find_places(3, 2)


@pytest.mark.parametrize(
  'name, content',
  [
    ('sweep.json', '[]'),
    ('sweep.json', '{"config": "a", "overrides": {}, "search": null}'),
    ('sweep.json', None),  # A section that is a number.
    (
      'sweep.json',
      '{"config": "a", "overrides": {}, "search": null, "runs": [1]}',
    ),
    ('RUN/sweep_status.json', '5'),
    ('RUN/sweep_status.json', '{"status": "finished", "seconds": "x"}'),
    ('RUN/sweep_status.json', '{"status": "finished", "starts": null}'),
  ],
)
def test_json_with_a_wrong_structure_is_damage(name, content, tmp_path):
  folder = f.SweepFolder(paths.resolve(tmp_path))
  (run,) = runs_of(0)
  folder.write(BASE, [run])
  folder.workdir(run.name).mkdir()
  folder.set_status(run.name, f.Status(f.FINISHED))
  path = tmp_path / name.replace('RUN', run.name)
  if content is None:
    tree = json.loads(path.read_text())
    content = json.dumps({**tree, 'resolved': {'data': 5}})
  path.write_text(content)
  with pytest.raises(UserError, match=f'{path.name} is damaged'):
    folder.write(BASE, [run])
    folder.ended(run.name)


def test_relative_paths_start_where_the_sweep_was_started(
  tmp_path, monkeypatch
):
  """Ray starts runs in its own folders."""
  folder = f.SweepFolder(paths.resolve(tmp_path / 's'))
  monkeypatch.chdir(tmp_path)
  (run,) = grid.make_runs(BASE, hyper.sweep('seed', [0]))
  folder.write(BASE, [run])
  monkeypatch.chdir('/')
  code = 'import os; print(os.getcwd())'
  run_to_end(folder, run, Place(), (sys.executable, '-c', code))
  log = folder.workdir(run.name) / f.LOG_FILE
  assert log.read_text() == f'{tmp_path}\n'

"""Runs a sweep of stubs: python -m tests.sweeps.driver ENGINE DIR SEED..."""

import sys

from inception import paths
from inception.config import default
from inception.sweeps import grid, hyper, local, sweep_report
from inception.sweeps import sweep_folder as f
from inception.sweeps.job import EngineOptions, Job
from inception.sweeps.places import find_places
from inception.sweeps.process import ROOT

STUB = (sys.executable, str(ROOT / 'tests' / 'sweeps' / 'stub.py'))
BASE = grid.Base(
  'configs/default.py', 'configs/default.py', default.get_config(), {}
)


def main(engine, directory, *seeds):
  runs = grid.make_runs(BASE, hyper.sweep('seed', map(int, seeds)))
  folder = f.SweepFolder(paths.resolve(directory))
  job = Job(
    folder,
    runs,
    lambda run, status: print(run.name, status.status, flush=True),
    EngineOptions(parallel=2, stop_early=engine == 'asha'),
  )
  folder.write(BASE, runs)
  if engine in ('ray', 'asha'):
    from inception.sweeps import ray_tune

    ray_tune.connect(job)
    ray_tune.run_all(job, STUB)
  else:
    local.run_all(folder, runs, find_places(2, 1), job.ended, command=STUB)
  sweep_report.write(folder)


if __name__ == '__main__':
  main(*sys.argv[1:])

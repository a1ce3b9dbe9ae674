"""Runs many experiments, and writes result tables and an HTML page.

Run:  python -m inception.sweeps --workdir=runs/sweep --config=configs/digits.py
        --sweep=model.architecture=googlenet,inception_v1
        --sweep=precision=float32,bfloat16 --seeds=3

A config file may define get_hyper instead; see inception/sweeps/hyper.py.
Running the same command again keeps finished runs and resumes the others. The
exit status is 1 if a run failed or is unfinished.
"""

import collections
import pathlib
import runpy

from absl import flags
from ml_collections import config_flags

from inception import paths
from inception.cli import commands, outputs, shared
from inception.errors import UserError, are, lookup
from inception.files import json_text
from inception.reports import charts
from inception.sweeps import grid, hyper, sweep_report
from inception.sweeps import sweep_folder as f
from inception.sweeps.engines import ENGINES
from inception.sweeps.job import EngineOptions, Job
from inception.sweeps.process import ROOT
from inception.sweeps.progress import Progress

# Flags that require a value of another flag.
_GOES_WITH = {
  'trials': ('search', 'optuna'),
  'stop_early': ('engine', 'ray'),
  'address': ('engine', 'ray'),
  'slurm': ('engine', 'slurm'),
}

_MOST_SEEDS = 10_000


def define_flags() -> None:
  """Defines the flags of this command."""
  shared.define_config(shared.DEMO)
  flags.DEFINE_string('workdir', None, 'Folder of the sweep.')
  flags.DEFINE_multi_string(
    'sweep', [], 'FIELD=VALUE,VALUE,...; repeat it for all combinations.'
  )
  flags.DEFINE_integer(
    'seeds', None, 'Runs per combination, with seeds 0 to N-1.', 1, _MOST_SEEDS
  )
  flags.DEFINE_bool('dry_run', False, 'Print the runs and start none.')
  flags.DEFINE_bool('retry_failed', False, 'Start failed runs again.')
  flags.DEFINE_string('engine', 'local', f'One of {", ".join(ENGINES)}.')
  flags.DEFINE_integer(
    'parallel', None, 'Runs at a time; unset: one per accelerator.', 1
  )
  flags.DEFINE_integer('devices_per_run', 1, 'Accelerators per run.', 1)
  flags.DEFINE_enum(
    'search', None, ['optuna'], 'Draw trials instead of all combinations.'
  )
  flags.DEFINE_integer('trials', 50, 'Trials of a search.', 1)
  flags.DEFINE_enum(
    'metric', 'top1', ['top1', 'top5'], 'Metric by which runs are compared.'
  )
  flags.DEFINE_bool(
    'stop_early', False, 'Ray: stop bad runs early, with ASHA on --metric.'
  )
  flags.DEFINE_string('address', None, 'Ray: address of a cluster.')
  flags.DEFINE_list(
    'slurm', [], 'Slurm: parameters of submitit, such as partition=gpu,time=60.'
  )
  flags.DEFINE_bool('json', False, 'Print one JSON object as the last line.')


def main() -> int:
  """Reads the flags and runs the sweep; returns the exit status."""
  values = flags.FLAGS
  folder = f.SweepFolder(paths.resolve(shared.require('workdir', 'runs/sweep')))
  make_engine = lookup(ENGINES, values.engine, '--engine')
  _check_flags()
  base = _base()
  sweep = _sweep(base)
  if values.search is not None:
    return _search(folder, base, sweep)
  if grid.is_search(sweep):
    raise UserError('the sweep draws values; add --search=optuna')
  runs = grid.make_runs(base, sweep)
  job = Job(folder, runs, Progress(folder, len(runs)).ended, _options())
  if values.dry_run:
    print('\n'.join(f'{run.name}  {" ".join(run.flags[1:])}' for run in runs))
    if text := make_engine().describe(job):
      print(text)
    return 0
  engine = make_engine()
  engine.check(job)
  folder.write(base, runs)
  if values.retry_failed:
    folder.retry_failed(run.name for run in runs)
  try:
    engine.run(job)
  finally:
    page = sweep_report.write(folder)
  return _report(folder, page)


def _check_flags() -> None:
  """Checks that the flags are compatible and that Plotly is installed."""
  for name, (other, value) in _GOES_WITH.items():
    if flags.FLAGS[name].present and flags.FLAGS[other].value != value:
      raise UserError(f'--{name} needs --{other}={value}')
  if flags.FLAGS.search is not None:
    if flags.FLAGS.engine != 'local':
      raise UserError(
        f'--search needs --engine=local, not {flags.FLAGS.engine}'
      )
    if flags.FLAGS.retry_failed:
      raise UserError('--retry_failed cannot be combined with --search')
  charts.check_installed()


def _search(folder: f.SweepFolder, base: grid.Base, sweep: hyper.Sweep) -> int:
  from inception.sweeps.search import Study  # An optional package.

  values = flags.FLAGS
  study = Study(folder, base, sweep, _options(), values.trials)
  if values.dry_run:
    print(study.describe())
    return 0
  try:
    study.run(Progress(folder, values.trials).ended)
  finally:
    page = sweep_report.write(folder)
  return _report(folder, page)


def _options() -> EngineOptions:
  values = flags.FLAGS
  return EngineOptions(
    parallel=values.parallel,
    devices_per_run=values.devices_per_run,
    metric=values.metric,
    stop_early=values.stop_early,
    address=values.address,
    slurm=values.slurm,
  )


def _base() -> grid.Base:
  """Returns what all runs have in common, from the flags."""
  config = flags.FLAGS['config']
  file, colon, argument = config_flags.get_config_filename(config).partition(
    ':'
  )
  name = path = pathlib.Path(file).resolve()
  # Relative if possible, so that run names do not depend on the machine.
  if str(path) == shared.DEMO:
    name = pathlib.Path('configs/digits.py')
  elif path.is_relative_to(ROOT):
    name = path.relative_to(ROOT)
  return grid.Base(
    f'{name}{colon}{argument}',
    f'{path}{colon}{argument}',
    flags.FLAGS.config,
    config_flags.get_override_values(config),
  )


def _sweep(base: grid.Base) -> hyper.Sweep:
  """Returns the sweep of the config file or of the flags."""
  values = flags.FLAGS
  file = base.path.partition(':')[0]
  written = runpy.run_path(file).get('get_hyper')
  given = [hyper.sweep(*grid.parse(text)) for text in values.sweep]
  if written is not None and given:
    raise UserError(
      f'{base.file} defines get_hyper; omit --sweep or use another --config'
    )
  if written is not None:
    given = [written(hyper)]
  if values.seeds is not None:
    given.append(hyper.sweep('seed', range(values.seeds)))
  if not given:
    raise UserError(
      'nothing to sweep; try --sweep=model.width=0.5,1.0 or --seeds=3, or a'
      ' config file with a get_hyper'
    )
  return hyper.product(given)


def _report(folder: f.SweepFolder, page: str) -> int:
  """Prints the best runs and the failures; returns the exit status."""
  rows, fields = sweep_report.collect(folder)
  best = sorted(
    (row for row in rows if row.get('top1') is not None),
    key=lambda row: -row['top1'],
  )
  if best:
    table = []
    for row in best[:10]:
      speed = f'{row.get("images_per_second", 0):.1f}'
      table.append((row['name'], f'{row["top1"]:.2f}', speed))
    print(outputs.format_table(('best', 'top-1', 'images/s'), table))
  counts = collections.Counter(row['status'] for row in rows)
  if failed := counts[f.FAILED]:
    print(
      f'{failed} of {len(rows)} runs failed; --retry_failed starts them again'
    )
  # Lost by an engine or a machine.
  if unfinished := len(rows) - sum(counts[name] for name in f.ENDED):
    print(
      f'{unfinished} of {len(rows)} runs {are(unfinished)} unfinished; run the'
      ' same command again'
    )
  print(f'page: {page}')
  if flags.FLAGS.json:
    print(json_text.dump({'page': page, 'fields': fields, 'runs': counts}))
  return 1 if failed or unfinished else 0


if __name__ == '__main__':
  commands.run(main, define_flags)

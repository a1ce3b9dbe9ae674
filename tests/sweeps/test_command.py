"""The command in a shell, with real runs."""

import csv
import json
import os
import subprocess

import pytest
from tensorboard.backend.event_processing import (
  plugin_event_multiplexer as event_multiplexer,
)
from tensorboard.plugins.hparams import plugin_data_pb2

from tests import warm

pytestmark = pytest.mark.usefixtures('python')


def sweep(*arguments):
  environment = dict(os.environ)
  environment.pop('JAX_COMPILATION_CACHE_DIR', None)  # Set by the tests.
  return subprocess.run(
    [warm.python(), '-m', 'inception.sweeps', *arguments],
    capture_output=True,
    text=True,
    # One device; programs of a few steps are not worth optimizing.
    env={**environment, 'XLA_FLAGS': '--xla_backend_optimization_level=0'},
  )


def programs(folder):
  return len(list((folder / 'compilation_cache').glob('jit_*-cache')))


@pytest.fixture(scope='module')
def swept(python, tmp_path_factory):
  """A sweep of two real runs: its folder, its flags, its process."""
  del python
  folder = tmp_path_factory.mktemp('sweep') / 's'
  flags = [
    *(f'--workdir={folder}', '--config=tests/tiny.py'),
    *('--config.num_steps=2', '--config.model.aux_heads=False'),
    # The graph of the host pipeline grows with the batch.
    *('--config.model.dropout=0.0', '--config.batch_size=2'),
    # The second data set needs a folder, which only its runs detect.
    '--sweep=data.dataset=digits,folder',
  ]
  return folder, flags, sweep(*flags, '--seeds=1', '--json')


def test_a_sweep_of_real_runs(swept):
  folder, _, done = swept
  assert done.returncode == 1, done.stderr
  lines = done.stdout.splitlines()
  assert '1 of 2 runs failed; --retry_failed starts them again' in lines
  report = json.loads(lines[-1])
  assert report['runs'] == {'finished': 1, 'failed': 1}
  assert report['fields'] == ['data.dataset', 'seed']
  with open(folder / 'results.csv') as file:
    rows = list(csv.DictReader(file))
  good, bad = rows
  assert (good['model'], good['img_size'], good['step']) == ('tiny', '16', '2')
  assert 0 < float(good['top1']) < 100 and good['seed'] == '0'
  assert float(good['param_count']) > 0 and float(good['gmacs']) > 0
  assert bad['status'] == 'failed'
  assert 'data.dataset=folder needs --config.data.data_dir' in bad['reason']
  page = (folder / 'report.html').read_text()
  assert 'needs --config.data.data_dir' in page
  # TensorBoard's HParams tab.
  events = event_multiplexer.EventMultiplexer().AddRunsFromDirectory(
    str(folder)
  )
  events.Reload()
  (name,) = (n for n in events.Runs() if 'digits' in n)
  metadata = events.SummaryMetadata(name, '_hparams_/session_start_info')
  start = plugin_data_pb2.HParamsPluginData.FromString(
    metadata.plugin_data.content
  ).session_start_info
  assert start.hparams['data.dataset'].string_value == 'digits'
  assert start.hparams['seed'].number_value == 0
  assert 'train/loss' in events.Runs()[name]['tensors']


def test_a_second_seed_shares_the_programs_of_the_first(swept):
  folder, flags, _ = swept
  before = programs(folder)
  done = sweep(*flags, '--seeds=2')
  assert done.returncode == 1, done.stderr
  assert done.stdout.count('  finished  ') == 2
  assert programs(folder) == before > 0
  log = next(folder.glob('digits-seed1-*')) / 'log.txt'
  assert 'step 2/2' in log.read_text()


@pytest.mark.parametrize(
  'arguments, message',
  [
    ([], '--sweep='),
    (['--sweep=model.wdith=1'], 'model.wdith'),
    (['--seeds=2', '--engine=pbs'], "--engine='pbs'"),
    (['--sweep=model.width=uniform(0.5,1)'], 'add --search=optuna'),
    (['--seeds=2', '--parallel=9999'], '--parallel=9999'),
    pytest.param(
      ['--seeds=2', '--search=optuna', '--parallel=9999'],
      '--parallel=9999',
      marks=pytest.mark.slow,
    ),
    (['--seeds=2', '--stop_early'], '--stop_early'),
    (['--seeds=2', '--trials=3'], '--trials'),
    (['--seeds=2', '--metric=f1'], '--metric=f1'),
    pytest.param(
      ['--seeds=2', '--engine=slurm'],
      'Slurm',
      marks=pytest.mark.slow,
    ),
    (
      ['--sweep=model.width=1', '--config=configs/sweeps/digits.py'],
      'get_hyper',
    ),
  ],
)
def test_wrong_input_is_one_line_and_starts_nothing(
  arguments, message, tmp_path
):
  done = sweep(f'--workdir={tmp_path}/s', *arguments)
  assert done.returncode == 2 and done.stderr.count('\n') == 1, done.stderr
  assert message in done.stderr
  assert not (tmp_path / 's').exists()


def test_a_dry_run_prints_the_runs(tmp_path):
  done = sweep(
    f'--workdir={tmp_path}/s',
    *('--config=configs/sweeps/digits.py', '--dry_run'),
  )
  assert done.returncode == 0, done.stderr
  names = [line.split()[0] for line in done.stdout.splitlines() if line]
  assert len(names) == 12
  assert names[0].startswith('googlenet-float32-seed0-')
  assert not (tmp_path / 's').exists()

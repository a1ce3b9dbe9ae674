"""Wrong input to a command gives one line and exit status 2."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from inception import paths
from inception.checkpoints.store import Checkpoints
from tests import warm

IMPORTED = warm.ROOT / 'tests/checkpoints/old/imported_0_1'

pytestmark = pytest.mark.usefixtures('python')


def run(*command):
  return subprocess.run(
    [warm.python(), *map(str, command)],
    cwd=warm.ROOT,
    capture_output=True,
    text=True,
  )


@pytest.mark.parametrize(
  'command, message',
  [
    (['train.py'], '--workdir is missing'),
    (['train.py', '--workdir=W', 'extra'], "unexpected argument 'extra'"),
    (['train.py', '--workdir=W', '--config=no.py'], 'no.py'),
    (['train.py', '--workdir=W', '--nonsense=1'], 'nonsense'),
    (['train.py', '--workdir=W', '--config.modl.width=1'], 'no such config'),
    (['train.py', '--workdir=W', '--config.model.widht=1'], 'widht'),
    (['train.py', '--workdir=W', '--config.batch_size=x'], 'batch_size=x'),
    (
      ['train.py', '--workdir=W', '--config.model.architecture=vgg'],
      "unknown architecture 'vgg'; known: googlenet, inception_v1",
    ),
    (
      ['train.py', '--workdir=/dev/null/run', '--config=tests/tiny.py'],
      'cannot write to /dev/null/run',
    ),
    (['eval.py', '--workdir=W'], 'run does not exist; give the workdir of'),
    # The message names the flag of eval.py, not the config field.
    (
      ['eval.py', f'--workdir={IMPORTED}', '--dataset=folder'],
      'data.dataset=folder needs --data_dir=DIR',
    ),
    (['-m', 'inception.reports.curves', '--workdir=W'], 'there is no'),
    # Suggestions.
    (
      ['train.py', '--workdir=W', '--config=inception_v3'],
      'did you mean configs/inception_v3.py?',
    ),
    (['train.py', '--workdir=W', '--batch_size=8'], '--config.batch_size?'),
    (['train.py', '--workdir=W', '--config.lr=1'], 'base_learning_rate?'),
    (['train.py', '--workdir=W', '--epochs=1'], '--config.num_epochs?'),
  ],
)
def test_wrong_input_is_one_line_and_status_2(tmp_path, command, message):
  workdir = tmp_path / 'run'
  result = run(*(part.replace('=W', f'={workdir}') for part in command))
  assert result.returncode == 2
  assert result.stderr.count('\n') == 1, result.stderr
  assert result.stderr.startswith('error: ') and message in result.stderr
  assert not workdir.exists()


def test_a_command_starts_cold():
  """As users start it; other tests fork a process with packages imported."""
  result = subprocess.run(
    [sys.executable, 'train.py', '--workdir=W', '--config.seed=x'],
    cwd=warm.ROOT,
    capture_output=True,
    text=True,
  )
  assert result.returncode == 2
  assert result.stderr.startswith('error: ') and 'seed=x' in result.stderr
  assert result.stderr.count('\n') == 1


def test_a_run_stops_at_a_step(tmp_path):
  result = run(
    *('train.py', f'--workdir={tmp_path}', '--config=tests/tiny.py'),
    *('--config.model.architecture=tiniest', '--config.batch_size=4'),
    '--stop_at_step=1',
  )
  assert result.returncode == 0 and result.stderr == '', result.stderr
  assert Checkpoints(paths.resolve(tmp_path)).steps() == [1]


def test_verify_sets_the_exit_status(finished, tmp_path):
  workdir = shutil.copytree(finished.workdir, tmp_path / 'run')
  verify = ['-m', 'inception.checkpoints.verify', f'--workdir={workdir}']
  assert run(*verify).returncode == 0
  (workdir / 'checkpoints' / '6' / 'scores.json').write_text('{')
  assert run(*verify).returncode == 1


def commands():
  for path in sorted((warm.ROOT / 'inception').rglob('*.py')):
    if 'commands.run(main' in path.read_text() and path.parent.name != 'cli':
      name = '.'.join(path.relative_to(warm.ROOT).with_suffix('').parts)
      yield name.removesuffix('.__main__')


HELP = """
import runpy, sys
from absl import flags
sys.argv = ['x', '--help']
try:
  runpy.run_module('{module}', run_name='__main__', alter_sys=True)
finally:
  slow = {{'jax', 'tensorflow', 'flax'}} & set(sys.modules)
  modules = flags.FLAGS.flags_by_module_dict().items()
  names = [f.name for m, defined in modules if 'absl' not in m for f in defined]
  print(*slow, *names, file=sys.stderr)
"""


@pytest.mark.parametrize('module', list(commands()))
def test_help_shows_every_flag_and_imports_no_jax(module):
  """Importing JAX or TensorFlow would take seconds."""
  result = subprocess.run(
    [sys.executable, '-c', HELP.format(module=module)],
    cwd=warm.ROOT,
    capture_output=True,
    text=True,
  )
  assert result.returncode == 0, result.stderr
  assert str(warm.ROOT) not in result.stdout
  shown = re.findall(r'^  --(\w+)', result.stdout, re.MULTILINE)
  assert shown and sorted(shown) == sorted(result.stderr.split())


def test_commands_hide_advice_of_xla_about_slow_compilations():
  """JAX is not imported before, and reads the level that was set."""
  code = (
    'import os, sys\n'
    'from inception.cli import commands\n'
    'def main():\n'
    '  assert "jax" not in sys.modules\n'
    '  print(os.environ["TF_CPP_MIN_LOG_LEVEL"])\n'
    'commands.run(main, lambda: None)\n'
  )
  environment = dict(os.environ)
  environment.pop('TF_CPP_MIN_LOG_LEVEL', None)
  done = subprocess.run(
    [sys.executable, '-c', code],
    cwd=warm.ROOT,
    env=environment,
    capture_output=True,
    text=True,
  )
  assert (done.stdout, done.stderr) == ('3\n', '')

"""Commands as a user runs them: one real run, and wrong input."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
IMPORTED = ROOT / 'tests/checkpoints/old/imported_0_1'


def run(*command):
  return subprocess.run(
    [sys.executable, *map(str, command)],
    cwd=ROOT,
    env={**os.environ, 'XLA_FLAGS': ''},
    capture_output=True,
    text=True,
  )


def test_train_evaluate_and_draw(tmp_path):
  """One epoch of the demonstration, stopped and resumed; then its curves."""
  train = [
    'train.py',
    f'--workdir={tmp_path}',
    '--config.num_epochs=1',
    '--config.data.image_size=32',
    '--config.model.head_pooling=attention',
    '--config.precision=bfloat16',
  ]
  stopped = run(*train, '--stop_at_step=5')
  assert stopped.returncode == 0, stopped.stderr
  resumed = run(*train)
  assert resumed.returncode == 0, resumed.stderr
  assert 'from step 5' in resumed.stdout and 'step 22/22' in resumed.stdout
  assert resumed.stderr == ''

  evaluated = run('eval.py', f'--workdir={tmp_path}', '--step=best', '--json')
  assert evaluated.returncode == 0, evaluated.stderr
  assert evaluated.stderr == ''
  results = json.loads(evaluated.stdout.splitlines()[-1])
  assert results['step'] == 22 and results['split'] == 'test'
  assert results['examples'] == 360 and 0 < results['top1'] <= results['top5']
  written = json.loads(
    (tmp_path / 'evaluation_22_digits_test.json').read_text()
  )
  assert written == results

  drawn = run('-m', 'inception.reports.curves', f'--workdir={tmp_path}')
  assert drawn.returncode == 0, drawn.stderr
  assert (tmp_path / 'curves.png').stat().st_size > 10_000

  for path in (tmp_path / 'checkpoints' / '22' / 'state').rglob('d/*'):
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 8] = b'damaged!'
    path.write_bytes(content)
  damaged = run('eval.py', f'--workdir={tmp_path}')
  assert damaged.returncode == 2
  assert damaged.stderr.count('\n') == 1, damaged.stderr
  assert 'checkpoints/22 is damaged' in damaged.stderr


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
    (['train.py', '--workdir=/dev/null/run'], 'cannot write to /dev/null/run'),
    (['eval.py', '--workdir=W'], 'no checkpoints in'),
    # It names the flag of eval.py, not the field of a config.
    (
      ['eval.py', f'--workdir={IMPORTED}', '--dataset=folder'],
      'data.dataset=folder needs --data_dir=DIR',
    ),
    (['-m', 'inception.reports.curves', '--workdir=W'], 'cannot read'),
  ],
)
def test_wrong_input_is_one_line_and_status_2(tmp_path, command, message):
  workdir = tmp_path / 'run'
  result = run(*(part.replace('=W', f'={workdir}') for part in command))
  assert result.returncode == 2
  assert result.stderr.count('\n') == 1, result.stderr
  assert result.stderr.startswith('error: ') and message in result.stderr
  assert not workdir.exists()

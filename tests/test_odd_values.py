"""Nonsensical values of every flag of every command give one line."""

import contextlib
import importlib
import io
import json
import os
import signal
import sys

from absl import flags
import pytest

from inception.cli import commands
from inception.data.sources import builder
from inception.errors import UserError
from tests import warm

FLAGS = flags.FLAGS
NOBODY = 65534

# The flags that each command needs.
COMMANDS = {
  'benchmarks.inference': '--architectures=none',
  'train': '--workdir={run} --config={tiny} --num_processes=1',
  'eval': '--workdir={run} --num_processes=1',
  'inception.checkpoints.verify': '--workdir={run}',
  'inception.data.prepare': '--dataset=folder --data_dir={images}',
  'inception.export.__main__': '--workdir={run} --output={new}.onnx',
  'inception.generative.__main__': '--generated={images} --weights={run}',
  'inception.data.show': '--config={tiny} --config.data.dataset=none',
  'inception.evaluation.cascade': '--a={run} --b={run} --share=0.5 --images=4',
  'inception.planning.__main__': '--config={tiny} --topology=none:1',
  'inception.predict.__main__': '--workdir={run} --images={images}/val/cat',
  'inception.pretrained.__main__': '--file={file} --output={new}',
  'inception.quantization.__main__': '--workdir={run} --output={run}',
  'inception.reports.curves': '--workdir={run} --output={new}.png',
  'inception.reports.pareto': '--results={file} --output={new}.png',
  'inception.reports.runs': '--workdirs={run} --output={new}.html',
  'inception.summary': '--architecture=tiniest',
  'inception.sweeps.__main__': (
    '--workdir={new} --config={tiny} --seeds=1 --dry_run'
  ),
}
# For these commands, exit status 1 has its own meaning.
ONE = ('checkpoints.verify', 'data.prepare', 'predict.__main__')
# Fields that refuse every odd value: accepting one would take too long.
FIELDS = (
  *('config.', 'config.data.mean[0]', 'config.model', 'config.model.nothing'),
  *('config.seed', 'config.model.width', 'config.data.mean'),
  'config.data.class_names',
)
NUMBERS = ('', 'nan', 'inf', '-1', '1e300', '9' * 5000, '9' * 15, '1\n2')
TEXTS = ('', 'a\nb', 'a\udcff', 'a' * 5000, '[$a$]*?', '/dev/zero')


@pytest.fixture(autouse=True)
def environment():
  """Restores the environment variables that commands set."""
  before = dict(os.environ)
  yield
  os.environ.clear()
  os.environ.update(before)


def values(flag, folder):
  """Returns odd values for a flag."""
  if isinstance(flag.parser, flags.IntegerParser | flags.FloatParser):
    return NUMBERS
  if isinstance(flag.parser, flags.EnumParser | flags.BooleanParser):
    return TEXTS[:4]  # Only a few words are valid.
  return *TEXTS, *(str(folder / name) for name in ('folder', 'no/x', 'secret'))


def define(module):
  """Returns the flags of a command and undefines them."""
  before = set(FLAGS)
  module.define_flags()
  own = {name: FLAGS[name] for name in set(FLAGS) - before}
  for name in own:
    delattr(FLAGS, name)
  return own


def run(module, arguments):
  """Runs a command in this process; returns its status and its output."""
  before, argv = set(FLAGS), sys.argv
  output, error = io.StringIO(), io.StringIO()
  sys.argv = ['command', *arguments]
  try:
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(error):
      commands.run(module.main, module.define_flags)
  except SystemExit as end:
    return end.code, output.getvalue(), error.getvalue()
  finally:
    sys.argv = argv
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in set(FLAGS) - before:
      delattr(FLAGS, name)
    FLAGS.unparse_flags()


@contextlib.contextmanager
def nobody_if(wanted):
  """Becomes an unprivileged user, if wanted."""
  if not wanted or os.geteuid():
    yield
    return
  os.seteuid(NOBODY)
  try:
    yield
  finally:
    os.seteuid(0)


def _not_here(folder, _):
  """Replaces building the digits in a folder, which takes seconds."""
  raise UserError(f'there are no digits in {folder}')


# Raised when ml_collections loads a config file.
@pytest.mark.filterwarnings('ignore:the load_module')
@pytest.mark.parametrize('name', COMMANDS)
def test_odd_values_are_accepted_or_reported(
  name, finished, image_folder, tmp_path, monkeypatch
):
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(builder, '_build_digits', _not_here)
  (tmp_path / 'folder').mkdir()
  (tmp_path / 'secret').write_text('[]')
  (tmp_path / 'secret').chmod(0)
  (tmp_path / 'file').write_text(json.dumps({'results': []}))
  base = COMMANDS[name].format(
    run=finished.workdir,
    tiny=warm.ROOT / 'tests' / 'tiny.py',
    images=image_folder,
    file=tmp_path / 'file',
    new=tmp_path / 'new',
  )
  module = importlib.import_module(name)
  own = define(module)
  cases = {flag: values(own[flag], tmp_path) for flag in own}
  if 'config' in own:
    cases |= {field: NUMBERS for field in FIELDS}
  wrong = []
  for flag, odd in cases.items():
    for value in odd:
      argument = f'--{flag}={value}'
      with nobody_if(value.endswith('secret')):
        status, _, error = run(module, [*base.split(), argument])
      lines = error.splitlines()
      one_line = len(lines) == 1 and len(error) < 1000
      starts = 'error: ' if status == 2 else 'warning: '
      good = (
        status in (0, 2)
        and (one_line or status == 0)
        or (status == 1 and name.endswith(ONE))
      ) and all(line.startswith(starts) for line in lines)
      if not good:
        wrong.append(f'{argument[:99]!r}: {status}, {error[-500:]}')
  assert not wrong, '\n'.join(wrong)

"""README and docs: sizes, numbers, and every command in them is run.

A block of shell commands that the tests cannot run says why behind its fence,
where pages do not show it: ```sh not-run: needs a GPU.
Blocks of a page run in order in one folder that holds what a reader has: the
project, a folder of pictures, and the workdir of a run as `weights/v3`.
"""

import json
import os
import pathlib
import re
import subprocess

import numpy as np
from PIL import Image
import pytest
import skimage

from inception import get_architecture, paths
from inception.checkpoints import weights as checkpoint
from inception.config import default
from inception.modules.create import model_from_config
from inception.pretrained import published
from inception.spec.cost import network_cost
from tests import warm
from tests.variables import random_variables
from tests.warm import ROOT

pytestmark = pytest.mark.usefixtures('python')

PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md'))]
BLOCK = re.compile(
  r'^```(\w+)( not-run: [^\n]+)?\n(.*?)^```$', re.MULTILINE | re.DOTALL
)
STRICT = 'import warnings\nwarnings.simplefilter("error", UserWarning)\n'
# A few steps take less time than optimizing their program.
FAST_COMPILATION = '--xla_backend_optimization_level=0'


def blocks(page):
  """Returns language and code of the blocks that tests run."""
  found = BLOCK.findall(page.read_text())
  return [(language, code) for language, not_run, code in found if not not_run]


@pytest.fixture
def folder(image_folder, tmp_path):
  """A folder as a reader has it after following the pages."""
  for name in ('train.py', 'eval.py', 'configs'):
    (tmp_path / name).symlink_to(ROOT / name)
  image_folder.rename(tmp_path / 'pictures')
  for name, source in (('cat.jpg', 'chelsea.png'), ('dog.png', 'coffee.png')):
    data = pathlib.Path(skimage.__file__).parent / 'data'
    Image.open(data / source).convert('RGB').save(tmp_path / name)
  return tmp_path


@pytest.fixture
def weights(folder):
  """A folder of imported weights of a real architecture, at a small width."""
  config = default.get_config()
  config.model.architecture = 'inception_v3'
  config.model.num_classes = 2
  config.model.width = 0.02
  config.model.aux_heads = False
  config.data.image_size = 75
  variables = random_variables(
    model_from_config(config), np.zeros((1, 75, 75, 3), np.float32)
  )
  checkpoint.write(paths.resolve(folder / 'weights' / 'v3'), variables, config)


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.stem)
def test_pages_are_short_and_narrow(page):
  lines = page.read_text().splitlines()
  assert len(lines) <= 120
  assert max(map(len, lines)) <= 120


def test_the_first_screen_of_the_readme_is_short():
  first_screen = (ROOT / 'README.md').read_text().split('## Read on')[0]
  assert first_screen.count('\n') <= 60


def test_pages_name_published_weights_that_there_are():
  rows = published.rows()
  tags = '|'.join({re.escape(name.partition('.')[2]) for name in rows})
  name = re.compile(rf'\b(?:googlenet|inception_\w+)\.(?:{tags})\b')
  found = {page.stem: set(name.findall(page.read_text())) for page in PAGES}
  assert set().union(*found.values()) <= rows.keys()
  assert len(found['weights']) > 10 and len(found['README']) == 7


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.stem)
def test_links_between_pages_lead_somewhere(page):
  for target in re.findall(r'\]\((?!http)([^)#]+)\)', page.read_text()):
    assert (page.parent / target).exists(), target


def test_the_table_of_networks_has_the_numbers_of_the_tables():
  rows = re.findall(
    r'^\| \[`(\w+)`\].*? \| ([\d,]+)(?: \(([\d,]+)\))? \| ([\d.]+) G \| (\d+) ',
    (ROOT / 'README.md').read_text(),
    re.MULTILINE,
  )
  assert len(rows) == 7
  for name, parameters, with_aux, macs, size in rows:
    table = get_architecture(name)
    cost = network_cost(table, int(size), int(size))
    assert table.input_size == int(size)
    assert f'{cost.parameters:,}' == parameters
    assert f'{cost.parameters_with_aux:,}' == (with_aux or parameters)
    assert f'{cost.macs / 1e9:.2f}' == macs


def start(command, folder):
  environment = {**os.environ, 'XLA_FLAGS': FAST_COMPILATION}
  path = f'{pathlib.Path(warm.python()).parent}:{os.environ["PATH"]}'
  environment.update(PATH=path, PYTHONPATH=str(ROOT))
  return subprocess.run(
    command, cwd=folder, env=environment, capture_output=True, text=True
  )


def run(command, folder):
  """Runs a command that has to succeed, and to warn of nothing."""
  result = start(command, folder)
  assert result.returncode == 0, result.stdout + result.stderr
  if command[0] == 'bash':
    # Short trials of a long recipe end within its warm-up.
    lines = result.stderr.splitlines()
    assert [x for x in lines if 'schedule.warmup_epochs' not in x] == []
  return result.stdout


def with_commands():
  """Pages whose shell commands run all at once."""
  for page in PAGES:
    if page.stem in ('resuming', 'own-pictures'):
      continue  # Other tests run their commands one by one.
    # It draws augmented images, which takes 25 CPU seconds to compile.
    marks = [pytest.mark.slow] if page.stem == 'data' else []
    yield pytest.param(page, id=page.stem, marks=marks)


@pytest.mark.parametrize('page', list(with_commands()))
def test_every_shell_command_runs_or_says_why_not(page, folder):
  for language, code in blocks(page):
    if language == 'sh':
      run(['bash', '-euc', code], folder)


@pytest.mark.slow
def test_the_commands_about_resuming_train_evaluate_and_draw(folder):
  """The real run: stopped, resumed, evaluated, drawn, then damaged."""
  ((_, code),) = blocks(ROOT / 'docs' / 'resuming.md')
  stop, resume, evaluate, draw = code.splitlines()
  workdir = folder / 'runs' / 'short'
  run(['bash', '-c', stop], folder)
  resumed = run(['bash', '-c', resume], folder)
  assert 'step 2 of 4' in resumed and 'step 4/4' in resumed

  results = json.loads(run(['bash', '-c', evaluate], folder).splitlines()[-1])
  assert results['step'] == 4 and results['split'] == 'test'
  assert results['examples'] == 360 and 0 <= results['top1'] <= results['top5']
  written = (workdir / 'evaluation_4_digits_test.json').read_text()
  assert json.loads(written) == results
  run(['bash', '-c', draw], folder)
  assert (workdir / 'curves.png').stat().st_size > 10_000
  verify = ['python', '-m', 'inception.checkpoints.verify']
  verify.append(f'--workdir={workdir}')
  run(verify, folder)

  for path in (workdir / 'checkpoints' / '4' / 'state').rglob('d/*'):
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 8] = b'damaged!'
    path.write_bytes(content)
  damaged = start(['bash', '-c', evaluate.replace('best', '4')], folder)
  assert damaged.returncode == 2
  assert damaged.stderr.count('\n') == 1, damaged.stderr
  assert 'checkpoints/4 is damaged' in damaged.stderr
  assert start(verify, folder).returncode == 1


# The one of the README compiles a whole network.
@pytest.mark.parametrize(
  'name', [pytest.param('README', marks=pytest.mark.slow), 'config', 'code']
)
def test_every_python_snippet_runs(name, folder):
  page = next(page for page in PAGES if page.stem == name)
  snippets = [code for language, code in blocks(page) if language == 'python']
  assert snippets
  run([warm.python(), '-c', '\n'.join(snippets)], folder)


def test_the_snippet_about_weights_runs(folder, weights):
  (snippet,) = [
    code
    for language, code in blocks(ROOT / 'docs' / 'weights.md')
    if language == 'python'
  ]
  checks = "assert outputs.endpoints['PreLogits'].shape[0] == 2"
  run([warm.python(), '-c', STRICT + snippet + checks], folder)


def test_no_page_has_a_snippet_that_no_test_runs():
  with_snippets = {
    page.stem
    for page in PAGES
    if any(lang == 'python' for lang, _ in blocks(page))
  }
  assert with_snippets == {
    *('README', 'config', 'code', 'weights'),
    'own-pictures',  # tests/test_own_pictures.py
  }

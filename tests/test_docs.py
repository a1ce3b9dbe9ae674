"""README and docs: sizes, numbers, and every command in them is run.

Blocks of a page run in order in one folder that holds what a reader has: the
project, a folder of pictures, the workdirs of two runs, and weights as
`weights/v3`. tests/pages.py reads the blocks and compares what they print.
"""

import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sysconfig

import numpy as np
from PIL import Image
import pytest
import safetensors.numpy
import skimage

from configs import digits
from inception import get_architecture, paths
from inception.checkpoints import weights as checkpoint
from inception.config import default
from inception.modules.create import model_from_config
from inception.pretrained import published
from inception.spec.cost import network_cost
from tests import pages, warm
from tests.parity import peers
from tests.pretrained import web
from tests.variables import random_variables
from tests.warm import ROOT

pytestmark = pytest.mark.usefixtures('python')

PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md'))]
STRICT = 'import warnings\nwarnings.simplefilter("error", UserWarning)\n'
# A few steps take less time than optimizing their program.
FAST_COMPILATION = '--xla_backend_optimization_level=0'
# The flags of a second run in evaluation.md.
SMALL = (
  '--config.model.width=0.125',
  '--config.data.image_size=32',
  '--config.num_epochs=8.0',
)


@pytest.fixture
def folder(image_folder, tmp_path):
  """A folder as a reader has it after following the pages."""
  for name in ('train.py', 'eval.py', 'configs', 'examples'):
    (tmp_path / name).symlink_to(ROOT / name)
  image_folder.rename(tmp_path / 'pictures')
  for name, source in (('cat.jpg', 'chelsea.png'), ('dog.png', 'coffee.png')):
    data = pathlib.Path(skimage.__file__).parent / 'data'
    Image.open(data / source).convert('RGB').save(tmp_path / name)
  return tmp_path


def test_the_page_about_networks_has_the_numbers_of_the_tables():
  page = (ROOT / 'docs' / 'networks.md').read_text()
  costs = re.findall(
    r'^\| `(\w+)` \| (\d+) \| ([\d.]+) M \| ([\d.]+) G \| ([\d.]+) MB',
    page,
    re.M,
  )
  assert len(costs) == 7
  for name, size, parameters, macs, memory in costs:
    table = get_architecture(name)
    cost = network_cost(table, int(size), int(size))
    assert table.input_size == int(size)
    assert f'{cost.parameters / 1e6:.1f}' == parameters
    assert f'{cost.macs / 1e9:.2f}' == macs
    in_float32 = sum(stage.activation_bytes for stage in cost.stages)
    assert f'{in_float32 / 2 / 1e6:.1f}' == memory

  rows = published.rows()
  accuracies = re.findall(r'`(\w*)\.(\w+)` ([\d.]+)', page)
  assert len(accuracies) == 16
  network = ''
  for short, tag, top1 in accuracies:
    network = short or network
    assert f'{rows[f"{network}.{tag}"].top1:.1f}' == top1


@pytest.fixture(scope='session')
def trained(tmp_path_factory):
  """Two workdirs; trained if pages are updated, else of random weights."""
  root = tmp_path_factory.mktemp('trained') / 'runs'
  train = ['python', ROOT / 'train.py']
  if os.environ.get('UPDATE_PAGES'):
    run([*train, '--workdir=runs/digits'], root.parent, XLA_FLAGS='')
    run([*train, '--workdir=runs/small', *SMALL], root.parent, XLA_FLAGS='')
  else:
    config = digits.get_config()
    config.model.num_classes = 10
    config.data.class_names = tuple('0123456789')
    for name in ('digits', 'small'):
      write_weights(root / name, config)
  return root


def write_weights(workdir, config):
  size = config.data.image_size
  variables = random_variables(
    model_from_config(config), np.zeros((1, size, size, 3), np.float32)
  )
  checkpoint.write(paths.resolve(workdir), variables, config, step=449)


@pytest.fixture
def runs(folder, trained):
  """The workdirs that `make demo` and evaluation.md make."""
  shutil.copytree(trained, folder / 'runs')


@pytest.fixture
def imagenet(folder):
  """Class folders as those of ImageNet, of noise."""
  generator = np.random.default_rng(0)
  for split, count in (('train', 4), ('val', 2)):
    for synset in ('n01440764', 'n01739381', 'n02105855'):
      place = folder / 'imagenet' / split / synset
      place.mkdir(parents=True)
      for i in range(count):
        pixels = generator.integers(0, 256, (60, 80, 3), np.uint8)
        Image.fromarray(pixels).save(place / f'{synset}_{i}.JPEG')


@pytest.fixture(scope='session')
def hub(tmp_path_factory):
  """Environment with a Hub on this machine, and a cache of its own.

  The Hub has random weights under the name of published ones.
  """
  arrays = peers.formula_arrays('timm_inception_v3', 1000)
  content = safetensors.numpy.save(arrays)
  digest = hashlib.sha256(content).hexdigest()
  root = tmp_path_factory.mktemp('hub')
  with web.serve() as server:
    path = '/timm/inception_v3.tv_in1k/resolve/main/model.safetensors'
    elsewhere = server.url.replace('127.0.0.1', 'localhost')
    server.pages[path] = web.Page(to=f'{elsewhere}/cdn', linked=digest)
    server.pages['/cdn'] = web.Page(content)
    yield {
      'HF_ENDPOINT': server.url,
      'INCEPTION_HOME': str(root / 'inception'),
      'HF_HUB_CACHE': str(root / 'hub'),
    }


@pytest.fixture
def weights(folder):
  """A folder of imported weights of a real architecture, at a small width."""
  config = default.get_config()
  config.model.architecture = 'inception_v3'
  config.model.num_classes = 2
  config.model.width = 0.02
  config.model.aux_heads = False
  config.data.image_size = 75
  workdir = folder / 'weights' / 'v3'
  write_weights(workdir, config)
  return workdir


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


def start(command, folder, **environment):
  path = f'{pathlib.Path(warm.python()).parent}:{os.environ["PATH"]}'
  environment = {
    **os.environ,
    'PATH': path,
    'PYTHONPATH': str(ROOT),
    'XLA_FLAGS': FAST_COMPILATION,
    **environment,
  }
  return subprocess.run(
    command, cwd=folder, env=environment, capture_output=True, text=True
  )


def run(command, folder, **environment):
  """Runs a command that must succeed, and warn of nothing."""
  result = start(command, folder, **environment)
  assert result.returncode == 0, result.stdout + result.stderr
  # Short runs end within their warm-up; three class folders are not ImageNet;
  # a page compares few pictures.
  expected = re.compile(
    'schedule.warmup_epochs|has 3 of the 1,000 classes|for 2,048 features'
  )
  lines = result.stderr.splitlines()
  assert [line for line in lines if not expected.search(line)] == []
  return result.stdout


def run_page(name, folder, **environment):
  """Runs the shell commands of a page, and compares what they print."""
  page = next(page for page in PAGES if page.stem == name)
  for block in pages.blocks(page, 'sh'):
    printed = run(['bash', '-euc', block.code], folder, **environment)
    pages.check_output(page, block, printed)


@pytest.mark.parametrize('name', ['config', 'sweeps'])
def test_every_shell_command_runs(name, folder):
  run_page(name, folder)


# Augmented images take 25 CPU seconds to compile; evaluation runs in int8, with
# ten crops, and as ensemble and cascade.
@pytest.mark.slow
@pytest.mark.parametrize('name', ['data', 'evaluation'])
def test_every_shell_command_about_runs_runs(name, folder, runs):
  run_page(name, folder)


def test_every_page_with_commands_is_run():
  """Other tests run the commands of some pages one by one."""
  with_commands = {page.stem for page in PAGES if pages.blocks(page, 'sh')}
  assert with_commands == {
    *('config', 'sweeps', 'data', 'evaluation'),
    *('README', 'weights', 'imagenet', 'resuming', 'generative', 'export'),
    'own-pictures',  # tests/test_own_pictures.py
  }


@pytest.mark.slow
@pytest.mark.parametrize('name', ['weights', 'imagenet'])
def test_every_shell_command_about_published_weights_runs(
  name, folder, hub, imagenet
):
  run_page(name, folder, **hub)


@pytest.mark.slow
def test_the_first_commands_install_and_name_a_picture(runs, folder, hub):
  """From the files of the project to a prediction by a name of weights.

  `pip install .` finds all dependencies in this environment.
  """
  for name in ('inception', 'pyproject.toml', 'README.md', 'LICENSE'):
    (folder / name).symlink_to(ROOT / name)
  for file in ROOT.glob('requirements*.txt'):
    (folder / file.name).symlink_to(file)
  page = ROOT / 'README.md'
  install, *others = pages.blocks(page, 'sh')
  environment = {
    **hub,
    'PATH': f'{sysconfig.get_path("scripts")}:{os.environ["PATH"]}',
    'PYTHONPATH': sysconfig.get_path('purelib'),
    'PIP_NO_BUILD_ISOLATION': '0',
    'PIP_NO_INDEX': '1',
    'PIP_DISABLE_PIP_VERSION_CHECK': '1',
  }
  run(['bash', '-euc', install.code], folder, **environment)
  (folder / 'inception').unlink()
  environment['PATH'] = f'{folder}/.venv/bin:{os.environ["PATH"]}'
  for block in others:
    printed = run(['bash', '-euc', block.code], folder, **environment)
    pages.check_output(page, block, printed)


@pytest.mark.slow
def test_the_commands_about_resuming_train_evaluate_and_draw(folder):
  """The real run: stopped, resumed, evaluated, drawn, then damaged."""
  page = ROOT / 'docs' / 'resuming.md'
  run_page('resuming', folder)
  workdir = folder / 'runs' / 'short'
  (evaluate,) = [
    line
    for block in pages.blocks(page, 'sh')
    for line in block.code.splitlines()
    if line.startswith('python eval.py')
  ]
  printed = run(['bash', '-c', evaluate], folder)
  results = json.loads(printed.splitlines()[-1])
  assert results['step'] == 4 and results['split'] == 'test'
  assert results['examples'] == 360 and 0 <= results['top1'] <= results['top5']
  written = (workdir / 'evaluation_4_digits_test.json').read_text()
  assert json.loads(written) == results
  assert (workdir / 'curves.png').stat().st_size > 10_000
  verify = ['python', '-m', 'inception.checkpoints.verify']
  verify.append(f'--workdir={workdir}')

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
  blocks = pages.blocks(page, 'python')
  code = '\n'.join(block.code for block in blocks)
  printed = run([warm.python(), '-c', code], folder)
  pages.check_output(page, blocks[-1], printed)


def test_the_snippet_about_weights_runs(folder, weights):
  page = ROOT / 'docs' / 'weights.md'
  (block,) = pages.blocks(page, 'python')
  checks = "assert outputs.endpoints['PreLogits'].shape[0] == 2"
  run([warm.python(), '-c', STRICT + block.code + checks], folder)


@pytest.mark.slow
def test_commands_and_snippet_about_generated_images_run(folder):
  imported = peers.imported('fid_inception_v3', 1008)
  config = default.get_config()
  config.model.architecture = imported.architecture
  config.model.num_classes = imported.num_classes
  where = paths.resolve(folder / 'weights' / 'fid')
  checkpoint.write(where, imported.variables, config)
  run_page('generative', folder)
  page = ROOT / 'docs' / 'generative-loops.md'
  for block in pages.blocks(page, 'python'):
    printed = run([warm.python(), '-c', block.code], folder)
    pages.check_output(page, block, printed)
    assert block.output or printed.startswith("{'is': ")


@pytest.mark.slow
def test_commands_and_snippet_about_export_run(folder, runs):
  pytest.importorskip('onnxruntime')
  del runs
  page = ROOT / 'docs' / 'export.md'
  install, export = pages.blocks(page, 'sh')
  assert install.code.startswith('pip install')
  result = start(['bash', '-euc', export.code], folder)
  assert result.returncode == 0, result.stderr
  (block,) = pages.blocks(page, 'python')
  assert run([warm.python(), '-c', block.code], folder).startswith("['")


def test_no_page_has_a_snippet_that_no_test_runs():
  with_snippets = {page.stem for page in PAGES if pages.blocks(page, 'python')}
  assert with_snippets == {
    *('README', 'config', 'code', 'weights', 'generative-loops', 'export'),
    'own-pictures',  # tests/test_own_pictures.py
  }

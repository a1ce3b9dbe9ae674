"""The order of packages that docs/code.md lists, and what they import."""

import ast
import collections
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]
FILES = sorted((ROOT / 'inception').rglob('*.py'))


def rooms():
  """Returns the packages in the order of the list."""
  text = (ROOT / 'docs/code.md').read_text()
  return re.findall(r'^\| `inception/(\w+)(?:\.py|/)` \|', text, re.MULTILINE)


def imports(file):
  """Yields the modules of the package that a file imports."""
  for node in ast.walk(ast.parse(file.read_text())):
    if isinstance(node, ast.ImportFrom) and node.module:
      for name in node.names:
        yield f'{node.module}.{name.name}'


def room_of(file):
  return file.relative_to(ROOT / 'inception').with_suffix('').parts[0]


def test_a_package_imports_only_packages_above_it():
  order = rooms()
  assert set(order) == {room_of(file) for file in FILES} - {'__init__'}
  upward = [
    (str(file.relative_to(ROOT)), name)
    for file in FILES
    for name in imports(file)
    if name.startswith('inception.') and room_of(file) in order
    if order.index(name.split('.')[1]) > order.index(room_of(file))
  ]
  assert not upward


def test_file_names_are_unique():
  names = collections.Counter(
    file.stem for file in FILES if not file.stem.startswith('__')
  )
  assert not [name for name, times in names.items() if times > 1]


def test_only_data_imports_tensorflow():
  files = {
    str(file.relative_to(ROOT / 'inception'))
    for file in FILES
    if re.search(
      r'^\s*(import|from) tensorflow', file.read_text(), re.MULTILINE
    )
  }
  assert files == {'data/tensorflow.py'}


def test_networks_need_no_tensorflow():
  code = (
    'import sys, inception; inception.create_model("inception_v1");'
    'inception.load_pretrained;'
    'assert not [m for m in sys.modules if m.startswith("tensorflow")]'
  )
  subprocess.run([sys.executable, '-c', code], check=True, cwd=ROOT)


def test_sweeps_need_no_clone(tmp_path):
  """Neither train.py nor configs/ is in an installed package."""
  shutil.copytree(ROOT / 'inception', tmp_path / 'site' / 'inception')
  # The command reads the default config and checks it.
  done = subprocess.run(
    [
      *(sys.executable, '-m', 'inception.sweeps', '--dry_run'),
      *('--workdir=sweep', '--sweep=seed=0,1'),
    ],
    cwd=tmp_path,
    env={**os.environ, 'PYTHONPATH': str(tmp_path / 'site')},
    capture_output=True,
    text=True,
    check=True,
  )
  assert [line.split()[1] for line in done.stdout.splitlines()] == [
    '--config.seed=0',
    '--config.seed=1',
  ]

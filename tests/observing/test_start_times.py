"""Start-up: its duration, and reuse of the compilation cache."""

import os
import pathlib
import re
import time
import types

import jax
import pytest

from inception.cli import shared
from inception.errors import UserError
from inception.modules import compiler_options
from inception.observing.start_times import Startup
from inception.training import ahead, loop

COMPILING = '/jax/core/compile/backend_compile_duration'


def cached():
  folder = pathlib.Path(os.environ['JAX_COMPILATION_CACHE_DIR'])
  return {path.name for path in folder.glob('*-cache')}


@pytest.mark.usefixtures('own_programs')
def test_programs_compiled_ahead_are_not_compiled_again(
  config, tmp_path, capsys
):
  # No other test compiles these programs.
  config.optimizer.momentum = 0.8642
  config.model.batch_norm_epsilon = 0.0017
  config.model.architecture = 'tiniest'
  config.num_steps = 2
  before = cached()
  ahead.compile_only(config, tmp_path / 'run', jax.devices()[:2])
  assert 'kept in ' in capsys.readouterr().out
  compiled = cached() - before
  assert len([name for name in compiled if name.startswith('jit__fun')]) == 2
  assert not (tmp_path / 'run').exists()
  loop.train(config, tmp_path / 'run', jax.devices()[:2])
  later = cached() - before - compiled
  # The small programs of the loop itself, such as votes, may be new.
  assert not [name for name in later if 'state' in name]
  sizes = [
    path.stat().st_size
    for path in pathlib.Path(os.environ['JAX_COMPILATION_CACHE_DIR']).iterdir()
    if path.name in later
  ]
  assert max(sizes, default=0) < 20_000


@pytest.mark.usefixtures('own_programs')
def test_compiling_ahead_says_what_cannot_be_kept(
  config, tmp_path, capsys, monkeypatch
):
  monkeypatch.setattr(compiler_options, '_LARGE', 0)
  config.model.architecture, config.num_steps = 'tiniest', 2
  ahead.compile_only(config, tmp_path / 'run', jax.devices()[:1])
  assert 'not kept: training and evaluation' in capsys.readouterr().out


def test_compiling_ahead_needs_a_cache(config, tmp_path, monkeypatch):
  monkeypatch.setattr(
    ahead,
    'jax',
    types.SimpleNamespace(
      config=types.SimpleNamespace(jax_compilation_cache_dir='')
    ),
  )
  with pytest.raises(UserError, match='unset JAX_COMPILATION_CACHE_DIR'):
    ahead.compile_only(config, tmp_path / 'run')


@pytest.mark.usefixtures('own_programs')
def test_a_start_reports_its_times(config, tmp_path, capsys):
  config.model.architecture, config.num_steps = 'tiniest', 1
  loop.train(config, tmp_path, began=time.monotonic() - 100)
  printed = capsys.readouterr().out
  line = re.search(r'first step after ([\d.]+) s: (.*)', printed)
  parts = dict(part.rsplit(' ', 1) for part in line[2].split(', '))
  assert list(parts)[:2] == ['imports', 'data']
  assert {'state', 'compiling', 'first batch', 'first step'} <= parts.keys()
  assert float(parts['imports']) >= 100
  total = sum(float(seconds) for seconds in parts.values())
  assert total == pytest.approx(float(line[1]), abs=0.5)
  # Only the first step of a start is timed.
  assert printed.count('first step after') == 1


def test_compile_time_is_reported_separately():
  with Startup(time.monotonic() - 10) as startup:
    startup.mark('a')
    jax.monitoring.record_event_duration_secs(COMPILING, 3.0)
    jax.monitoring.record_event_duration_secs('/jax/other', 5.0)
    startup.mark('b')
  jax.monitoring.record_event_duration_secs(COMPILING, 7.0)
  startup.mark('c')
  assert startup.seconds['a'] == pytest.approx(10, abs=0.5)
  assert startup.seconds['compiling'] == 3
  assert startup.seconds['b'] == pytest.approx(-3, abs=0.5)
  assert startup.seconds['c'] == pytest.approx(0, abs=0.5)


def test_compiled_programs_are_kept_in_the_home_folder(
  monkeypatch, request, tmp_path, capsys
):
  name = 'JAX_COMPILATION_CACHE_DIR'
  given = os.environ[name]
  request.addfinalizer(
    lambda: jax.config.update('jax_compilation_cache_dir', given)
  )
  shared.use_compilation_cache()
  assert os.environ[name] != str(tmp_path)  # Kept as given.
  monkeypatch.delenv(name)
  monkeypatch.setenv('HOME', str(tmp_path))
  monkeypatch.delenv('XDG_CACHE_HOME', raising=False)
  shared.use_compilation_cache()
  folder = tmp_path / '.cache' / 'inception' / 'compiled'
  assert os.environ[name] == str(folder) and folder.is_dir()
  # Some commands have imported JAX by then.
  assert jax.config.jax_compilation_cache_dir == str(folder)
  monkeypatch.delenv(name)
  blocked = tmp_path / 'file'
  blocked.write_text('')
  monkeypatch.setenv('XDG_CACHE_HOME', str(blocked))
  shared.use_compilation_cache()
  assert name not in os.environ
  assert 'JAX_COMPILATION_CACHE_DIR' in capsys.readouterr().err
  monkeypatch.setenv(name, '')
  shared.use_compilation_cache()
  assert os.environ[name] == ''

"""Which programs call oneDNN."""

import pytest

from inception.architectures import get_architecture, make_table
from inception.modules import compiler_options
from inception.processes import distributed

LARGE = get_architecture('inception_v3'), 299


@pytest.fixture
def flags(monkeypatch):
  """Sets XLA_FLAGS, which this process has read already."""

  def put(text):
    monkeypatch.setenv('XLA_FLAGS', text)
    compiler_options._onednn.cache_clear()

  yield put
  compiler_options._onednn.cache_clear()


def test_large_float_networks_call_onednn_on_cpus(flags, monkeypatch):
  flags('')
  assert compiler_options.for_network(*LARGE) == compiler_options.ONEDNN
  assert compiler_options.for_network(*LARGE, integers=True) == {}
  narrow = make_table('inception_v3', width=0.25)
  assert compiler_options.for_network(narrow, 96) == {}
  monkeypatch.setattr(distributed, 'process_count', lambda: 2)
  assert compiler_options.for_network(*LARGE) == {}
  monkeypatch.undo()
  monkeypatch.setattr(distributed, 'on_cpu', lambda: False)
  assert compiler_options.for_network(*LARGE) == {}


@pytest.mark.parametrize('name', compiler_options.ONEDNN)
def test_xla_flags_of_the_user_win(flags, name):
  flags(f'--xla_cpu_enable_fast_math=false --{name}=')
  assert compiler_options.for_network(*LARGE) == {}


def test_an_option_unknown_to_xla_is_left_out_with_one_warning(
  flags, monkeypatch, capfd
):
  flags('')
  monkeypatch.setitem(compiler_options.ONEDNN, 'xla_cpu_of_the_past', True)
  for _ in range(2):
    assert compiler_options.for_network(*LARGE) == {}
  assert capfd.readouterr().err == (
    'warning: float networks run without oneDNN: INVALID_ARGUMENT: No such'
    " compile option: 'xla_cpu_of_the_past'\n"
  )

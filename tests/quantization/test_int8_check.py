"""A device that multiplies integers wrongly is detected."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception.modules.create import create_model
from inception.quantization import int8, int8_check
from inception.quantization.integers import Integers
from inception.quantization.quantize import Calibration, quantize
from tests.tables import PIECES
from tests.variables import random_variables

PIECE = PIECES['inception_v1-Mixed_5b']
SIZE = PIECE.input_size


@pytest.fixture(scope='module')
def quantized():
  model = create_model(PIECE, num_classes=3)
  images = np.random.default_rng(0).uniform(-1, 1, (1, SIZE, SIZE, 3))
  images = jnp.asarray(images, jnp.float32)
  variables = quantize(
    model, random_variables(model, images), [images], Calibration(1, 'max')
  )
  return int8.make_quantized(model), variables


@pytest.fixture
def device(monkeypatch, tmp_path):
  """Makes the CPU pass for another device, with its own cache."""
  monkeypatch.setattr(int8_check.distributed, 'on_cpu', lambda: False)
  before = jax.config.jax_compilation_cache_dir
  jax.config.update('jax_compilation_cache_dir', str(tmp_path))
  yield tmp_path
  jax.config.update('jax_compilation_cache_dir', before)


@pytest.fixture
def wrong(monkeypatch):
  """Makes convolutions multiply the wrong integers."""
  right = Integers._operands

  def operands(self, x, kernel):
    values, kernel = right(self, x, kernel)
    return values, kernel[::-1] if self.exact else kernel

  monkeypatch.setattr(Integers, '_operands', operands)


def test_a_device_that_multiplies_correctly_is_checked_once(
  quantized, device, capsys, request
):
  int8_check.warn_of_wrong_integers('runs/a', *quantized, SIZE)
  assert not capsys.readouterr().err
  assert [path.name.startswith('int8_is_right') for path in device.iterdir()]
  request.getfixturevalue('wrong')
  int8_check.warn_of_wrong_integers('runs/a', *quantized, SIZE)
  assert not capsys.readouterr().err


def test_a_device_that_multiplies_wrongly_is_reported(
  quantized, device, wrong, capsys
):
  for _ in range(2):  # It warns every time.
    int8_check.warn_of_wrong_integers('runs/a', *quantized, SIZE)
    warning = capsys.readouterr().err
    assert warning.startswith('warning: runs/a: int8 results are wrong on cpu')
    assert warning.count('\n') == 1


def test_cpus_are_not_checked(quantized, wrong, capsys):
  int8_check.warn_of_wrong_integers('runs/a', *quantized, SIZE)
  assert not capsys.readouterr().err


def test_a_cache_in_an_object_store_is_no_obstacle(quantized, device, capsys):
  jax.config.update('jax_compilation_cache_dir', 'gs://bucket/cache')
  int8_check.warn_of_wrong_integers('runs/a', *quantized, SIZE)
  assert not capsys.readouterr().err

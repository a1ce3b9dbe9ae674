"""Networks loaded from a folder, and predictors."""

import inspect
import logging
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception import create_model, load_pretrained
from inception.config import default
from inception.errors import UserError
from inception.modules import compiler_options
from inception.modules.options import Options
from inception.predict.predictor import make_predictor

WEIGHTS = pathlib.Path(__file__).parents[1] / 'checkpoints/old/imported_0_1'


def test_loading_prints_and_logs_nothing(capfd, caplog):
  with caplog.at_level(logging.DEBUG, 'absl'):
    load_pretrained(WEIGHTS)
  captured = capfd.readouterr()
  assert (captured.out, captured.err) == ('', '')
  warnings = [r for r in caplog.records if r.levelno >= logging.WARNING]
  assert not warnings


def test_a_folder_without_checkpoints_is_refused(tmp_path):
  with pytest.raises(UserError, match=f'no checkpoints .*{tmp_path}'):
    load_pretrained(tmp_path)


def test_a_predictor_takes_bytes_and_normalizes_them(config):
  network = load_pretrained(WEIGHTS)
  images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
  predict = make_predictor(network.model, network.config.data)
  wanted = network((jnp.asarray(images, jnp.float32) - 127.5) / 127.5).logits
  np.testing.assert_allclose(
    predict(network.variables, images), wanted, atol=1e-6
  )


def test_a_network_with_compiler_options_runs_inside_traced_functions(
  monkeypatch,
):
  monkeypatch.setattr(compiler_options, '_LARGE', 0)
  network = load_pretrained(WEIGHTS)
  images = np.random.default_rng(0).normal(size=(2, 16, 16, 3))
  images = jnp.asarray(images, jnp.float32)
  logits = network(images).logits

  def total(images):
    return network(images).logits.sum()

  inside, slope = jax.jit(jax.value_and_grad(total))(images)
  np.testing.assert_allclose(inside, logits.sum(), rtol=1e-5)
  assert np.abs(slope).max() > 0
  constant = jax.jit(lambda: network(images).logits)()
  np.testing.assert_allclose(constant, logits, rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(jax.grad(total)(images), slope, atol=1e-5)
  many = jax.lax.map(lambda x: network(x[None]).logits[0], images)
  np.testing.assert_allclose(many, logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
  'arguments, message',
  [
    ({'precision': 'int3'}, "precision='int3' is not one of float32, bfloat16"),
    ({'initializer': 'ones'}, "initializer='ones' is not one of he_normal"),
    ({'head_pooling': 'median'}, "head_pooling='median' is not one of average"),
    ({'width': -1.0}, 'width=-1.0 is out of range; it must be above 0'),
    ({'num_classes': -1}, 'num_classes=-1 must not be negative'),
    ({'squeeze_excite': 0}, 'squeeze_excite=0 is out of range'),
    ({'freeze_through': 'x'}, "freeze_through='x' is not a stage; .*Mixed_2b"),
  ],
)
def test_an_unknown_name_is_refused_with_the_known_ones(arguments, message):
  with pytest.raises(UserError, match=message):
    create_model('tiny', **arguments)


def test_defaults_are_those_of_the_config():
  keywords = {
    **inspect.signature(create_model).parameters,
    **inspect.signature(Options).parameters,
  }
  fields = {**default.get_config().model}
  del fields['architecture']
  for name, value in fields.items():
    assert keywords[name].default == value, name


def test_a_table_needs_no_registration_and_has_its_own_classes():
  from inception import get_architecture

  model = create_model(get_architecture('inception_v3_fid'), width=0.02)
  variables = jax.eval_shape(
    model.init, jax.random.key(0), jnp.zeros((1, 75, 75, 3))
  )
  kernel = variables['params']['Logits']['Logits']['kernel']
  assert kernel.shape[1] == 1008

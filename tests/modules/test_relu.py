"""ReLU keeps NaN, in every form in which a network runs it."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception.modules import compiler_options
from inception.modules.create import create_model
from inception.modules.relu import relu
from inception.spec import vocabulary as v
from inception.spec.transforms import without_batch_norm

STEM = v.Stage('a', v.Conv(32, 3)), v.Stage('b', v.Conv(32))
RESIDUAL = v.Residual(v.Concat(v.Conv(32), v.Conv(32, 3)), 0.2)
TABLES = {
  'batch norm': v.Architecture(32, STEM, dropout=0.0),
  'bias': without_batch_norm(v.Architecture(32, STEM, dropout=0.0)),
  'residual': v.Architecture(32, (*STEM, v.Stage('c', RESIDUAL)), dropout=0.0),
}


@pytest.mark.parametrize('precision', ['float32', 'bfloat16'])
@pytest.mark.parametrize('table', TABLES.values(), ids=TABLES)
def test_networks_keep_nan_with_onednn(table, precision):
  """With `jnp.maximum`, oneDNN returned 0 for NaN."""
  model = create_model(table, num_classes=3, precision=precision)
  images = jax.random.normal(jax.random.key(0), (2, 32, 32, 3))
  variables = model.init(jax.random.key(1), images)
  run = jax.jit(
    lambda variables, images: model.apply(variables, images).logits,
    compiler_options=compiler_options.ONEDNN,
  )
  spoiled = run(variables, images.at[1, 9, 9, 0].set(jnp.nan))
  assert np.isfinite(spoiled).all(1).tolist() == [True, False]
  diverged = jax.tree.map(lambda x: x.at[0].set(jnp.nan), variables['params'])
  spoiled = run({**variables, 'params': diverged}, images)
  assert not np.isfinite(spoiled).any()


def test_values_and_gradients_are_those_of_flax():
  x = jnp.array([-2.0, -0.0, 0.0, 3.0, jnp.inf, -jnp.inf])
  for function in (relu, jax.jit(relu)):
    np.testing.assert_array_equal(function(x), nn.relu(x))
    gradients = [jax.grad(lambda x, f=f: f(x).sum()) for f in (relu, nn.relu)]
    np.testing.assert_array_equal(*(gradient(x) for gradient in gradients))
  assert jnp.isnan(relu(jnp.nan))


def test_programs_for_other_devices_take_the_maximum():
  traced = jax.jit(relu).trace(jnp.zeros(3))
  program = traced.lower(lowering_platforms=('tpu',)).as_text()
  assert 'maximum' in program and 'select' not in program

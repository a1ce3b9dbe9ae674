"""Heads and frozen stages: pooling, dropout, and where gradients stop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception.modules import heads
from inception.modules.create import create_model
from inception.spec import vocabulary as v
from tests.variables import random_variables


def test_attention_pooling_starts_as_averaging_and_can_select():
  x = jax.random.normal(jax.random.key(0), (2, 3, 4, 16))
  pool = heads.AttentionPool()
  pooled, variables = pool.init_with_output(jax.random.key(1), x)
  np.testing.assert_allclose(pooled, x.mean((1, 2)), atol=1e-6)
  # A query that scores one position far above all others selects it.
  query = jnp.zeros((16, heads.ATTENTION_HEADS)).at[0].set(1e4)
  pooled = pool.apply({'params': {'query': {'kernel': query}}}, x)
  flat = x.reshape(2, 12, 16)
  best = jnp.argmax(flat[:, :, 0], axis=1)
  np.testing.assert_allclose(pooled, flat[jnp.arange(2), best], atol=1e-4)
  model = create_model('tiny', head_pooling='attention')
  shapes = jax.eval_shape(
    model.init, jax.random.key(0), jnp.zeros((1, 16, 16, 3))
  )
  params = shapes['params']
  assert params['Logits']['AttentionPool']['query']['kernel'].shape == (16, 8)


def test_generalized_mean_lies_between_average_and_maximum():
  x = jax.random.uniform(jax.random.key(0), (2, 3, 4, 16))
  pool = heads.GeneralizedMeanPool()
  pooled, variables = pool.init_with_output(jax.random.key(1), x)
  np.testing.assert_allclose(pooled, (x**3).mean((1, 2)) ** (1 / 3), rtol=1e-5)

  def pool_by(exponent):
    params = {**variables['params'], 'exponent': jnp.float32(exponent)}
    return pool.apply({'params': params}, x)

  np.testing.assert_allclose(pool_by(1), heads.average_pool(x), rtol=1e-5)
  largest = heads.max_pool(x)
  np.testing.assert_array_equal(largest, x.reshape(2, 12, 16).max(1))
  np.testing.assert_allclose(pool_by(80), largest, rtol=0.05)


@pytest.mark.parametrize('pooling', heads.HEAD_POOLINGS)
def test_every_pooling_has_finite_gradients_where_nothing_is_active(pooling):
  model = create_model('tiny', head_pooling=pooling)
  images = jnp.zeros((2, 16, 16, 3))
  variables = random_variables(model, images)

  def loss(params):
    outputs = model.apply({**variables, 'params': params}, images)
    return outputs.logits[:, 0].sum()

  gradients = jax.jit(jax.grad(loss))(variables['params'])
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))


def test_dropout_drops_its_share_and_keeps_the_mean():
  dropout = heads.Dropout(0.4, None)
  x = jnp.ones((64, 500))
  key = {'dropout': jax.random.key(0)}
  y = dropout.apply({}, x, True, rngs=key)
  assert np.mean(y == 0) == pytest.approx(0.4, abs=0.01)
  assert np.mean(y) == pytest.approx(1, abs=0.02)
  assert not np.array_equal(y[0], y[1])
  np.testing.assert_array_equal(dropout.apply({}, x, False), x)


def test_no_gradient_enters_a_frozen_stage_through_an_auxiliary_head():
  first = v.Stage('first', v.Conv(8, 3))
  table = v.Architecture(
    8,
    (first, v.Stage('second', v.Conv(8, 3)), v.Stage('third', v.Conv(8))),
    dropout=0.0,
    aux_heads=(v.AuxHead('AuxLogits', 'first', v.Conv(8)),),
  )
  model = create_model(table, freeze_through='second')
  images = jax.random.normal(jax.random.key(1), (4, 8, 8, 3))
  variables = random_variables(model, images)

  def loss(params):
    outputs, _ = model.apply(
      {**variables, 'params': params},
      images,
      train=True,
      mutable=['batch_stats'],
    )
    return outputs.logits[:, 0].sum() + outputs.aux_logits[0][:, 0].sum()

  gradients = jax.jit(jax.grad(loss))(variables['params'])
  learns = {
    name: any(map(np.any, jax.tree.leaves(tree)))
    for name, tree in gradients.items()
  }
  assert learns == {
    'first': False,
    'second': False,
    'third': True,
    'AuxLogits': True,
    'Logits': True,
  }


def test_a_frozen_stage_keeps_its_statistics_and_gets_no_gradient():
  model = create_model('tiny', num_classes=10, freeze_through='Conv2d_1a_3x3')
  images = jax.random.normal(jax.random.key(1), (4, 16, 16, 3))
  variables = random_variables(model, images)

  def loss(params):
    outputs, updated = model.apply(
      {**variables, 'params': params},
      images,
      train=True,
      mutable=['batch_stats'],
      rngs={'dropout': jax.random.key(2)},
    )
    total = outputs.logits.sum() + outputs.aux_logits[0].sum()
    return total, updated['batch_stats']

  gradient = jax.jit(jax.grad(loss, has_aux=True))
  gradients, statistics = gradient(variables['params'])
  for name in ('Conv2d_1a_3x3', 'Mixed_2b', 'Logits'):
    frozen = name == 'Conv2d_1a_3x3'
    assert frozen == (not any(map(np.any, jax.tree.leaves(gradients[name]))))
  old = variables['batch_stats']
  jax.tree.map(
    np.testing.assert_array_equal,
    old['Conv2d_1a_3x3'],
    statistics['Conv2d_1a_3x3'],
  )
  assert not np.array_equal(
    old['Mixed_2b']['Branch_0']['Conv2d_0a_1x1']['BatchNorm']['mean'],
    statistics['Mixed_2b']['Branch_0']['Conv2d_0a_1x1']['BatchNorm']['mean'],
  )

"""Optimizers against TensorFlow's own and against arithmetic."""

import jax.numpy as jnp
import numpy as np
import pytest

from inception.config import default
from inception.data.tensorflow import tf
from inception.errors import UserError
from inception.training.recipe import optimizer as optimizers


def make(**fields):
  """Returns a function from learning rate to optimizer."""
  config = default.get_config().optimizer
  config.update({'weight_decay': 0.0, **fields})
  return lambda rate: optimizers.make_optimizer(config, rate)


def run(make_optimizer, params, gradients, rates=(0.1, 0.1)):
  state = make_optimizer(0.0).init(params)
  for gradient, rate in zip(gradients, rates):
    optimizer = make_optimizer(rate)
    updates, state = optimizer.update(gradient, state, params)
    params = {k: params[k] + updates[k] for k in params}
  return params


@pytest.mark.parametrize('epsilon', [1.0, 1e-3])
def test_rmsprop_matches_tensorflow(epsilon):
  generator = np.random.default_rng(0)
  start = generator.normal(size=5).astype(np.float32)
  gradients = generator.normal(size=(6, 5)).astype(np.float32)
  rates = [0.3, 0.3, 0.3, 0.1, 0.1, 0.1]

  variable = tf.Variable(start)
  rate = tf.Variable(0.0)
  reference = tf.compat.v1.train.RMSPropOptimizer(
    rate, decay=0.8, momentum=0.9, epsilon=epsilon
  )
  for gradient, value in zip(gradients, rates):
    rate.assign(value)
    reference.apply_gradients([(tf.constant(gradient), variable)])

  optimizer = make(
    name='rmsprop',
    rmsprop_decay=0.8,
    rmsprop_epsilon=epsilon,
  )
  ours = run(
    optimizer,
    {'kernel': jnp.asarray(start)},
    [{'kernel': g} for g in gradients],
    rates,
  )
  np.testing.assert_allclose(ours['kernel'], variable.numpy(), rtol=1e-5)


def test_momentum_and_nesterov():
  params = {'kernel': jnp.array([1.0])}
  gradients = [{'kernel': jnp.array([1.0])}] * 2
  plain = run(make(momentum=0.5), params, gradients)
  assert float(plain['kernel'][0]) == pytest.approx(1 - 0.1 * (1 + 1.5))
  nesterov = run(make(momentum=0.5, nesterov=True), params, gradients)
  assert float(nesterov['kernel'][0]) == pytest.approx(1 - 0.1 * (1.5 + 1.75))


def test_weight_decay_is_for_kernels_only():
  params = {
    name: jnp.array([2.0])
    for name in ('kernel', 'depthwise_kernel', 'bias', 'scale')
  }
  zeros = {name: jnp.zeros(1) for name in params}
  moved = run(make(weight_decay=0.5, momentum=0.0), params, [zeros])
  changed = {name for name in params if float(moved[name][0]) != 2}
  assert changed == {'kernel', 'depthwise_kernel'}
  assert float(moved['kernel'][0]) == pytest.approx(2 - 0.1 * 0.5 * 2)


def test_clipping_scales_the_whole_gradient_with_its_decay():
  params = {'kernel': jnp.array([2.0]), 'bias': jnp.array([0.0])}
  gradient = {'kernel': jnp.array([2.0]), 'bias': jnp.array([4.0])}
  optimizer = make(weight_decay=0.5, momentum=0.0, clip_norm=1.0)
  moved = run(optimizer, params, [gradient])
  # With decay the gradient is (3, 4), of norm 5.
  assert float(moved['kernel'][0]) == pytest.approx(2 - 0.1 * 3 / 5)
  assert float(moved['bias'][0]) == pytest.approx(-0.1 * 4 / 5)


def test_an_unknown_optimizer_is_refused_with_the_known_names():
  with pytest.raises(UserError, match="name='adam'.*sgd, rmsprop"):
    make(name='adam')(0.1)

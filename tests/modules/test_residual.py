"""Residual blocks and squeeze-excite against plain arithmetic; scanning."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception.spec import vocabulary as v
from inception.spec.scopes import scope_stage
from tests.modules.interpreter import OPTIONS, Block, concatenate, images, run


def squeeze_excite(x, params):
  hidden = x.mean((1, 2)) @ params['Reduce']['kernel']
  hidden = np.maximum(hidden + params['Reduce']['bias'], 0)
  gate = hidden @ params['Expand']['kernel'] + params['Expand']['bias']
  return x * jax.nn.sigmoid(gate)[:, None, None, :]


@pytest.mark.parametrize('relu', [True, False])
def test_residual_adds_the_scaled_projection(relu):
  x = images(1, 4, 4, 6)
  branches = v.Concat(v.Conv(2), v.Conv(3, 3))
  output, variables = run(v.Residual(branches, 0.2, relu), x)
  params = variables['params']['stage']
  assert set(params) == {'Branch_0', 'Branch_1', 'Conv2d_1x1'}
  joined = concatenate(branches, params, x)
  projection = params['Conv2d_1x1']
  wanted = x + 0.2 * (joined @ projection['kernel'][0, 0] + projection['bias'])
  if relu:
    wanted = np.maximum(wanted, 0)
  np.testing.assert_allclose(output, wanted, atol=1e-5)


def test_squeeze_excite_gates_the_joined_branches():
  x = images(2, 4, 4, 3)
  block = v.Concat(v.Conv(3), v.Conv(5, 3))
  output, variables = run(v.Gated(block, v.SqueezeExcite(2)), x)
  params = variables['params']['stage']
  assert params['SqueezeExcite']['Reduce']['kernel'].shape == (8, 4)
  joined = concatenate(block, params, x)
  wanted = squeeze_excite(joined, params['SqueezeExcite'])
  np.testing.assert_allclose(output, wanted, atol=1e-5)


def test_squeeze_excite_gates_the_projection_before_the_scaled_sum():
  x = images(2, 4, 4, 6)
  branches = v.Concat(v.Conv(3))
  residual = v.Residual(branches, 0.2, gate=v.SqueezeExcite(2))
  output, variables = run(residual, x)
  params = variables['params']['stage']
  joined = concatenate(branches, params, x)
  projection = params['Conv2d_1x1']
  change = joined @ projection['kernel'][0, 0] + projection['bias']
  change = squeeze_excite(change, params['SqueezeExcite'])
  np.testing.assert_allclose(output, np.maximum(x + 0.2 * change, 0), atol=1e-5)


def test_scanned_blocks_compute_what_unrolled_ones_do():
  branches = v.Concat(v.Conv(2), v.Conv(3, 3))
  residual = v.Residual(branches, 0.3, gate=v.SqueezeExcite(2))
  node = scope_stage('stage', v.Repeat(residual, 2, 'block'))

  def network(scan):
    return Block(node, dataclasses.replace(OPTIONS, scan_blocks=scan))

  x = images(2, 4, 4, 5)
  variables, again = (
    jax.jit(functools.partial(network(scan).init, train=True))(
      jax.random.key(0), x
    )
    for scan in (False, True)
  )
  jax.tree.map(np.testing.assert_array_equal, variables, again)

  def loss(params, scan):
    y, updated = network(scan).apply(
      {**variables, 'params': params}, x, True, mutable=['batch_stats']
    )
    return jnp.sum(y**2), (y, updated)

  grad = jax.jit(jax.value_and_grad(loss, has_aux=True), static_argnums=1)
  unrolled, scanned = (grad(variables['params'], s) for s in (False, True))
  assert jax.tree.structure(unrolled) == jax.tree.structure(scanned)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4),
    unrolled,
    scanned,
  )
  moved = unrolled[0][1][1]['batch_stats']['stage']
  assert not np.allclose(
    moved['block_1']['Branch_0']['Conv2d_0a_1x1']['BatchNorm']['mean'],
    moved['block_2']['Branch_0']['Conv2d_0a_1x1']['BatchNorm']['mean'],
  )
  evaluate = jax.jit(
    lambda scan: network(scan).apply(variables, x, False), static_argnums=0
  )
  outputs = [evaluate(scan) for scan in (False, True)]
  np.testing.assert_allclose(*outputs, rtol=1e-5, atol=1e-5)


def test_cpus_add_each_residual_once():
  """XLA would compute the sums of earlier blocks again for each block."""

  def lower(count, platform):
    block = v.Residual(v.Concat(v.Conv(8), v.Conv(8, 3)), 0.2)
    blocks = v.Repeat(block, count, 'block')
    model = Block(scope_stage('stage', blocks), OPTIONS)
    x = images(1, 9, 9, 16)
    variables = model.init(jax.random.key(0), x)
    traced = jax.jit(model.apply).trace(variables, x)
    return traced.lower(lowering_platforms=(platform,))

  costs = [
    lower(count, 'cpu').compile().cost_analysis()['flops']
    for count in (2, 4, 6)
  ]
  assert costs[2] - costs[1] == costs[1] - costs[0]
  assert 'optimization_barrier' not in lower(2, 'tpu').as_text()

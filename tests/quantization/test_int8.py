"""Folded and int8 networks: nearly the same function; integers inside."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception.architectures import get_architecture
from inception.modules import pooling, rounding
from inception.modules.create import create_model
from inception.quantization import int8, integers
from inception.quantization.folding import fold_batch_norm
from inception.quantization.quantize import Calibration, quantize
from inception.spec import unroll
from inception.spec import vocabulary as v
from inception.spec.words import Plain
from tests.modules.interpreter import OPTIONS, evaluate, noise
from tests.tables import PIECES, shorten
from tests.variables import random_variables

_SIZE = 75


def check(table, size, **fields):
  """Compares a network with its folded form and two integer forms."""
  model = create_model(table, num_classes=10, **fields)
  x = noise(size)
  variables = random_variables(model, x)
  plain = np.asarray(evaluate(model, variables, x))
  _, folded = fold_batch_norm(model, variables)
  largest = np.abs(plain).max()
  # Without scales, the int8 network equals the folded one.
  network = int8.make_quantized(model)
  real = evaluate(network, folded, x)
  np.testing.assert_allclose(real, plain, atol=1e-4 * largest)
  quantized = quantize(model, variables, [x], Calibration(1, 'max'))
  integers = evaluate(network, quantized, x)
  np.testing.assert_allclose(integers, plain, atol=0.1 * largest)
  # The same integers in float32: sums below 2^24 are exact.
  floats = evaluate(network.clone(integers=False), quantized, x)
  np.testing.assert_array_equal(integers, floats)


@pytest.mark.parametrize('name', PIECES)
def test_folded_and_int8_pieces_agree_with_the_plain_ones(name):
  check(PIECES[name], PIECES[name].input_size)


def test_sums_of_residual_blocks_are_computed_once():
  """As int8; tests/modules/test_residual.py shows what it is good for."""
  blocks = v.Conv(8, 3), v.Residual(v.Concat(v.Conv(4), v.Conv(4, 3)), 0.2)
  stages = tuple(v.Stage(f's{i}', block) for i, block in enumerate(blocks))
  model = create_model(v.Architecture(8, stages, dropout=0.0), num_classes=3)
  x = noise(8)
  variables = random_variables(model, x)
  quantized = quantize(model, variables, [x], Calibration(1, 'max'))
  apply = jax.jit(int8.make_quantized(model).apply)
  text = apply.lower(quantized, x).as_text()
  assert re.search(r'optimization_barrier.*xi8>', text)


def test_every_operation_runs_in_int8():
  blocks = (
    v.SeparableConv(8, 3, depth_multiplier=2),
    v.LocalResponseNorm(),
    v.AdaptiveAvgPool(5),
    v.Concat(v.Conv(8, 3), v.Chain(v.Conv(4), v.AdaptiveAvgPool(5))),
  )
  stages = tuple(v.Stage(f's{i}', block) for i, block in enumerate(blocks))
  check(v.Architecture(16, stages, dropout=0.0), 16)


def test_the_folded_table_is_a_network():
  table = PIECES['inception_v1_torchvision-Conv2d_1a_7x7']
  model = create_model(table, num_classes=10)
  x = noise(table.input_size)
  variables = random_variables(model, x)
  network, folded = fold_batch_norm(model, variables)
  plain = np.asarray(evaluate(model, variables, x))
  again = evaluate(network, folded, x)
  np.testing.assert_allclose(again, plain, atol=1e-4 * np.abs(plain).max())


@pytest.mark.slow
@pytest.mark.parametrize('name', ['inception_v4', 'inception_resnet_v2'])
def test_folded_and_int8_networks_agree_with_the_plain_ones(name):
  check(name, 107, width=0.1)


@pytest.mark.parametrize(
  'name', ['inception_v1-Mixed_5b', 'inception_resnet_v1-Repeat_1']
)
def test_squeeze_excite_runs_in_int8(name):
  check(PIECES[name], PIECES[name].input_size, squeeze_excite=4)


@pytest.mark.parametrize('keep', [(), ('first', 'classifier')])
def test_every_convolution_of_the_program_multiplies_int8(keep):
  table = shorten(get_architecture('inception_v3'))
  model = create_model(table, num_classes=10)
  variables = random_variables(model, noise(_SIZE))
  quantized = quantize(
    model, variables, [noise(_SIZE)], Calibration(1, 'max', keep)
  )
  network = int8.make_quantized(model)
  text = (
    jax.jit(lambda v, x: network.apply(v, x).logits)
    .lower(quantized, noise(_SIZE))
    .as_text()
  )
  kinds = re.findall(
    r'stablehlo\.convolution.*-> tensor<[\dx]+x(\w+)>', text
  ) + re.findall(r'stablehlo\.dot_general.*-> tensor<[\dx]+x(\w+)>', text)
  stages = unroll.stage_layers(model.architecture, _SIZE, _SIZE)
  total = 1 + sum(layer.is_convolution for s in stages.values() for layer in s)
  assert kinds.count('i32') == total - len(keep)
  assert kinds.count('f32') == len(keep)
  assert all(leaf.dtype == np.int8 for leaf in kernels(quantized, keep))


def kernels(variables, keep):
  flat = jax.tree_util.tree_leaves_with_path(variables['params'])
  return [
    leaf
    for path, leaf in flat
    if path[-1].key == 'kernel'
    and not (keep and path[0].key in ('Conv2d_1a_3x3', 'Logits'))
  ]


def integer_pool(pool, x):
  numbers = integers.Integers({'params': {}}, OPTIONS)
  activation = integers.Activation(x, jnp.float32(0.5))
  return numbers.apply(Plain(pool, ()), activation)


@pytest.mark.parametrize('padding', ['SAME', 'VALID', 'SYMMETRIC'])
@pytest.mark.parametrize('include', [True, False])
def test_integer_pooling_is_the_rounded_average(padding, include):
  generator = np.random.default_rng(0)
  x = jnp.asarray(generator.integers(-127, 128, (2, 9, 8, 3)), jnp.int8)
  pool = v.AvgPool(3, padding=padding, count_include_pad=include)
  pooled = integer_pool(pool, x)
  exact = pooling.avg_pool(x.astype(jnp.float32), pool)
  assert pooled.values.dtype == jnp.int8 and pooled.scale == 0.5
  assert np.abs(pooled.values - exact).max() <= 0.51
  largest = integer_pool(v.MaxPool(3, 2, padding), x)
  np.testing.assert_array_equal(
    largest.values,
    pooling.max_pool(x.astype(jnp.float32), v.MaxPool(3, 2, padding)),
  )


def test_rounding_clips_and_is_to_the_nearest():
  x = jnp.array([-9.0, -0.26, 0.24, 0.26, 0.6, 70.0])
  rounded = rounding.quantize(x, jnp.float32(0.5))
  np.testing.assert_array_equal(rounded, [-18, -1, 0, 1, 1, 127])


def test_training_sees_rounded_numbers_and_plain_gradients():
  kernel = jnp.array([[1.0, -0.3], [0.2, 0.001]])

  def total(kernel):
    rounded = rounding.round_kernel(kernel)
    return jnp.sum(rounded * jnp.array([[1.0, 2.0], [3.0, 4.0]])), rounded

  gradient, rounded = jax.grad(total, has_aux=True)(kernel)
  scale = np.array([1.0, 0.3]) / 127
  steps = np.asarray(rounded) / scale
  np.testing.assert_allclose(steps, np.round(steps), atol=1e-4)
  np.testing.assert_allclose(rounded, kernel, atol=0.51 / 127)
  np.testing.assert_array_equal(gradient, [[1, 2], [3, 4]])


def test_rounding_changes_training_but_not_evaluation():
  plain = create_model('tiny', num_classes=10)
  aware = create_model('tiny', num_classes=10, quantization_aware=True)
  x = noise(16)
  variables = random_variables(plain, x)
  np.testing.assert_array_equal(
    evaluate(aware, variables, x), evaluate(plain, variables, x)
  )

  @functools.partial(jax.jit, static_argnums=0)
  def train(model, variables):
    outputs, _ = model.apply(
      variables,
      x,
      train=True,
      mutable=['batch_stats'],
      rngs={'dropout': jax.random.key(0)},
    )
    return outputs.logits

  exact, rounded = train(plain, variables), train(aware, variables)
  difference = np.abs(exact - rounded).max()
  assert 0 < difference < 0.5 * np.abs(exact).max()

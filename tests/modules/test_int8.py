"""Folded and int8 networks: the same function, or nearly; integers inside."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception.modules import int8, int8_layers, pooling, rounding
from inception.modules.create import create_model
from inception.modules.folding import fold_batch_norm
from inception.quantization.quantize import Calibration, quantize
from inception.spec import unroll
from inception.spec import vocabulary as v
from tests.architectures.reference import NUMBERS
from tests.variables import random_variables

# Enough for these few images; optimizing takes most of the time.
_FAST = {'xla_backend_optimization_level': 0}
_SIZE = 107


@functools.cache
def images(size=_SIZE):
  generator = np.random.default_rng(0)
  return generator.uniform(-1, 1, (2, size, size, 3)).astype(np.float32)


def compiled(model):
  def apply(variables, images):
    return model.apply(variables, images).logits

  def run(variables, images):
    lowered = jax.jit(apply).lower(variables, images)
    return np.asarray(lowered.compile(_FAST)(variables, images))

  return run


def make(name, **fields):
  model = create_model(name, num_classes=10, width=0.1, **fields)
  return model, random_variables(model, images())


@pytest.mark.parametrize('name', NUMBERS)
def test_folded_and_int8_networks_agree_with_the_plain_one(name):
  model, variables = make(name)
  plain = compiled(model)(variables, images())
  table, folded = fold_batch_norm(
    model.architecture, variables, model.options.batch_norm_epsilon
  )
  again = compiled(model.clone(architecture=table))(folded, images())
  np.testing.assert_allclose(again, plain, atol=1e-4 * np.abs(plain).max())
  # Without scales, the int8 network is the folded one.
  network = int8.make_quantized(model)
  real = compiled(network)(folded, images())
  np.testing.assert_allclose(real, plain, atol=1e-4 * np.abs(plain).max())
  quantized = quantize(model, variables, [images()], Calibration(1, 'max'))
  integers = compiled(network)(quantized, images())
  np.testing.assert_allclose(integers, plain, atol=0.1 * np.abs(plain).max())
  # The same integers in float32: sums of fewer than 2^24 are exact.
  floats = compiled(int8.make_quantized(model, False))(quantized, images())
  np.testing.assert_array_equal(integers, floats)


def test_squeeze_excite_runs_too():
  model, variables = make('inception_resnet_v2', squeeze_excite=4)
  plain = compiled(model)(variables, images())
  quantized = quantize(model, variables, [images()], Calibration(1, 'max'))
  integers = compiled(int8.make_quantized(model))(quantized, images())
  np.testing.assert_allclose(integers, plain, atol=0.1 * np.abs(plain).max())


@pytest.mark.parametrize('keep', [(), ('first', 'classifier')])
def test_every_convolution_of_the_program_multiplies_int8(keep):
  model, variables = make('inception_v3')
  quantized = quantize(
    model, variables, [images()], Calibration(1, 'max', keep)
  )
  network = int8.make_quantized(model)
  text = (
    jax.jit(lambda v, x: network.apply(v, x).logits)
    .lower(quantized, images())
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


@pytest.mark.parametrize('padding', ['SAME', 'VALID', 'SYMMETRIC'])
@pytest.mark.parametrize('include', [True, False])
def test_integer_pooling_is_the_rounded_average(padding, include):
  generator = np.random.default_rng(0)
  x = jnp.asarray(generator.integers(-127, 128, (2, 9, 8, 3)), jnp.int8)
  pool = v.AvgPool(3, padding=padding, count_include_pad=include)
  activation = int8_layers.Activation(x, jnp.float32(0.5))
  pooled = int8_layers.pool(pool, activation, None)
  exact = pooling.avg_pool(x.astype(jnp.float32), pool)
  assert pooled.values.dtype == jnp.int8 and pooled.scale == 0.5
  assert np.abs(pooled.values - exact).max() <= 0.51
  largest = int8_layers.pool(v.MaxPool(3, 2, padding), activation, None)
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


def test_training_with_rounding_is_not_evaluation():
  fields = {'num_classes': 10, 'width': 0.1}
  plain = create_model('inception_v1', **fields)
  aware = create_model('inception_v1', quantization_aware=True, **fields)
  variables = random_variables(plain, images(64))
  np.testing.assert_array_equal(
    compiled(aware)(variables, images(64)),
    compiled(plain)(variables, images(64)),
  )

  @functools.partial(jax.jit, static_argnums=0, compiler_options=_FAST)
  def train(model, variables):
    outputs, _ = model.apply(
      variables,
      images(64),
      train=True,
      mutable=['batch_stats'],
      rngs={'dropout': jax.random.key(0)},
    )
    return outputs.logits

  exact, rounded = train(plain, variables), train(aware, variables)
  difference = np.abs(exact - rounded).max()
  assert 0 < difference < 0.5 * np.abs(exact).max()

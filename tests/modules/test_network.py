"""Whole networks: exact parameter counts, endpoints, heads, precision."""

import functools
import math

from flax import traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from inception.architectures import get_architecture
from inception.modules import create
from inception.spec import unroll
from tests.architectures.reference import NUMBERS
from tests.tables import shorten


def make(architecture, precision='float32', **fields):
  fields = {'num_classes': 1000, **fields}
  return create.create_model(architecture, precision=precision, **fields)


def abstract_variables(model, size=224):
  return jax.eval_shape(
    model.init,
    jax.random.key(0),
    jax.ShapeDtypeStruct((1, size, size, 3), 'f4'),
  )


def count(tree):
  return sum(leaf.size for leaf in jax.tree.leaves(tree))


def shapes_of_table(table, size, batch_norm_scale):
  """Shapes of parameters and statistics by path, from the table alone."""
  stages = unroll.stage_layers(table, size, size)
  aux = unroll.aux_layers(table, size, size, 1000)
  every = [*stages.values(), *aux.values()]
  every.append(unroll.head_layers(table, size, size, 1000))
  params, statistics = {}, {}
  for layer in (layer for group in every for layer in group):
    for name, shape in layer.parameters(batch_norm_scale).items():
      params[f'{layer.scope}/{name}'] = shape
    for name, shape in layer.statistics.items():
      statistics[f'{layer.scope}/{name}'] = shape
  return params, statistics


def flat_shapes(tree):
  flat = traverse_util.flatten_dict(tree, sep='/')
  return {path: leaf.shape for path, leaf in flat.items()}


@pytest.mark.parametrize('name', NUMBERS)
def test_modules_have_exactly_the_parameters_of_the_table(name):
  check_parameters(name, NUMBERS[name].input_size)


@pytest.mark.parametrize(
  'fields',
  [
    {'batch_norm_scale': False},
    {'squeeze_excite': 4},
    {'squeeze_excite': 4, 'scan_blocks': True},
  ],
)
@pytest.mark.parametrize('name', ['inception_v1', 'inception_resnet_v2'])
def test_options_change_the_parameters_as_the_table_says(name, fields):
  check_parameters(shorten(get_architecture(name)), 99, **fields)


def check_parameters(name, size, **fields):
  model = make(name, **fields)
  variables = abstract_variables(model, size)
  params, statistics = shapes_of_table(
    model.architecture, size, fields.get('batch_norm_scale', True)
  )
  assert flat_shapes(variables['params']) == params
  assert flat_shapes(variables.get('batch_stats', {})) == statistics


@pytest.mark.parametrize(
  'name',
  [
    *('googlenet', 'inception_v1_torchvision', 'inception_v2_slim'),
    *('inception_v3_fid', 'inception_v4'),
    *('inception_resnet_v1_facenet', 'inception_resnet_v2'),
  ],
)
def test_endpoints_have_the_shapes_of_the_table(name):
  size = 107
  model = make(shorten(get_architecture(name)))
  outputs = jax.eval_shape(
    lambda variables: model.apply(
      variables, jnp.zeros((2, size, size, 3)), endpoints=True
    ),
    abstract_variables(model, size),
  )
  endpoints = {k: x.shape[1:] for k, x in outputs.endpoints.items()}
  assert len(endpoints.pop('PreLogits')) == 1
  assert endpoints == unroll.stage_shapes(model.architecture, size, size)
  assert outputs.logits.shape == (2, 1000)


def test_parameters_are_found_by_stage_branch_and_convolution():
  params = abstract_variables(make('inception_v1'))['params']
  flat = traverse_util.flatten_dict(params, sep='/')
  assert flat['Conv2d_1a_7x7/kernel'].shape == (7, 7, 3, 64)
  assert flat['Mixed_3b/Branch_2/Conv2d_0b_5x5/kernel'].shape == (5, 5, 16, 32)
  assert flat['Mixed_5c/Branch_3/Conv2d_0b_1x1/kernel'].shape == (
    1,
    1,
    832,
    128,
  )
  assert flat['AuxLogits_4b/Hidden/kernel'].shape == (2048, 1024)
  assert flat['Logits/Logits/kernel'].shape == (1024, 1000)


@pytest.mark.parametrize(
  'name',
  # Without batch norm, and with it.
  ['googlenet', pytest.param('inception_v1', marks=pytest.mark.slow)],
)
def test_initial_loss_is_that_of_random_guessing(name):
  model = make(shorten(get_architecture(name)))
  images = jax.random.uniform(jax.random.key(1), (8, 64, 64, 3), minval=-1)

  @jax.jit
  def loss():
    variables = model.init(jax.random.key(0), images)
    outputs, _ = model.apply(
      variables,
      images,
      train=True,
      mutable=['batch_stats'],
      rngs={'dropout': jax.random.key(2)},
    )
    labels = jnp.arange(8)
    return [
      optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
      for logits in (outputs.logits, *outputs.aux_logits)
    ]

  losses = loss()
  assert len(losses) == 3
  np.testing.assert_allclose(losses, math.log(1000), atol=0.1)


@pytest.mark.parametrize('precision', ['bfloat16', 'float16'])
def test_low_precision_is_internal_and_close(precision):
  images = jax.random.uniform(jax.random.key(1), (4, 16, 16, 3), minval=-1)
  exact, rough = make('tiny'), make('tiny', precision)
  variables = jax.jit(exact.init)(jax.random.key(0), images)
  assert {x.dtype for x in jax.tree.leaves(variables)} == {jnp.dtype('f4')}

  @functools.partial(jax.jit, static_argnums=0)
  def apply(model):
    return model.apply(
      variables,
      images,
      train=True,
      endpoints=True,
      mutable=['batch_stats'],
      rngs={'dropout': jax.random.key(2)},
    )

  (wanted, _), (outputs, updated) = apply(exact), apply(rough)
  assert outputs.logits.dtype == jnp.float32
  assert outputs.aux_logits[0].dtype == jnp.float32
  assert outputs.endpoints['Mixed_2b'].dtype == jnp.dtype(precision)
  assert {x.dtype for x in jax.tree.leaves(updated)} == {jnp.dtype('f4')}
  scale = np.abs(wanted.logits).max()
  np.testing.assert_allclose(outputs.logits, wanted.logits, atol=0.05 * scale)


def test_auxiliary_heads_are_for_training_only_and_can_be_left_out():
  model = make('tiny')
  variables = abstract_variables(model, 16)
  outputs = jax.eval_shape(model.apply, variables, jnp.zeros((2, 16, 16, 3)))
  assert outputs.aux_logits == () and outputs.endpoints == {}
  without = abstract_variables(make('tiny', aux_heads=False), 16)
  assert 'AuxLogits_2b' in variables['params']
  assert 'AuxLogits_2b' not in without['params']


@pytest.mark.parametrize('size', [(1, 1), (33, 20)])
def test_any_size_that_leaves_a_grid_works(size):
  model = make('googlenet', width=0.1)
  shape = (2, *size, 3)
  variables = jax.eval_shape(
    model.init, jax.random.key(0), jax.ShapeDtypeStruct(shape, 'f4')
  )
  outputs = jax.eval_shape(
    lambda variables: model.apply(
      variables,
      jnp.zeros(shape),
      train=True,
      rngs={'dropout': jax.random.key(0)},
    ),
    variables,
  )
  assert [x.shape for x in outputs.aux_logits] == [(2, 1000)] * 2

"""A fused network is the same function as the table, to rounding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception import create_model
from inception.spec import vocabulary as v
from tests.tables import PIECES
from tests.variables import random_variables


def images(size, rows=4):
  generator = np.random.default_rng(1)
  return generator.normal(size=(rows, size, size, 3)).astype(np.float32)


def step(model, variables, x):
  """Returns outputs, new statistics and gradients of a training step."""

  def loss_of(params):
    outputs, updated = model.apply(
      {**variables, 'params': params},
      x,
      train=True,
      mutable=['batch_stats'],
      rngs={'dropout': jax.random.key(0)},
    )
    every = (outputs.logits, *outputs.aux_logits)
    weights = jnp.arange(float(every[0].shape[-1])) - 4.5
    loss = sum(jnp.mean(jnp.sum(y * weights, axis=-1)) for y in every)
    return loss, (every, updated)

  gradient = jax.value_and_grad(loss_of, has_aux=True)
  (_, (outputs, updated)), gradients = jax.jit(gradient)(variables['params'])
  return outputs, updated, gradients


def evaluate(model, variables, x):
  return jax.jit(lambda v, x: model.apply(v, x).logits)(variables, x)


def distance(tree, other):
  """Returns the norm of the difference over that of `other`, of all leaves."""
  assert jax.tree.structure(tree) == jax.tree.structure(other)
  pairs = list(zip(jax.tree.leaves(tree), jax.tree.leaves(other)))
  difference = sum(np.sum(np.square(np.float64(a - b))) for a, b in pairs)
  total = sum(np.sum(np.square(b)) for _, b in pairs)
  return np.sqrt(difference / total) if pairs else 0.0


def both(architecture, **fields):
  """Returns the fused and the plain network."""
  fields = {'num_classes': 10, 'dropout': 0.0, **fields}
  plain = create_model(architecture, fuse=False, **fields)
  return create_model(architecture, **fields), plain


def for_training(variables):
  """Returns variables of which rounding is not amplified, some scales negative.

  Higher biases of batch norm keep most of its outputs above zero.
  """

  def change(path, leaf):
    match path[-2].key, path[-1].key:
      case 'BatchNorm', 'scale':
        signs = np.where(np.arange(leaf.size) % 2, -1, 1)
        return leaf * signs.astype(leaf.dtype)
      case 'BatchNorm', 'bias':
        return leaf + 2
    return leaf

  params = jax.tree_util.tree_map_with_path(change, variables['params'])
  return {**variables, 'params': params}


def check(fused, plain, x, tolerance=1e-4):
  """Compares evaluation and a training step; every parameter has a gradient."""
  variables = random_variables(plain, x)
  assert distance(*(evaluate(m, variables, x) for m in (fused, plain))) < 1e-5
  variables = for_training(variables)
  result, expected = (step(model, variables, x) for model in (fused, plain))
  for ours, theirs in zip(result, expected):  # Outputs, statistics, gradients.
    assert distance(ours, theirs) < tolerance
  for path, gradient in jax.tree_util.tree_leaves_with_path(result[2]):
    assert np.isfinite(gradient).all() and np.any(gradient), path


@pytest.mark.parametrize('name', PIECES)
def test_a_piece_of_a_network_is_that_of_the_table(name):
  fused, plain = both(PIECES[name])
  check(fused, plain, images(PIECES[name].input_size))


@pytest.mark.slow
@pytest.mark.parametrize('name', ['inception_v4', 'inception_resnet_v2'])
def test_a_whole_network_is_that_of_its_table(name):
  # Batch norm of few images amplifies the rounding of a machine.
  check(*both(name, width=0.1), images(139, rows=8), tolerance=1e-3)


STEM = (
  v.Stage('a', v.Conv(8, 3)),
  v.Stage('b', v.MaxPool(3, stride=2)),
  v.Stage('c', v.Concat(v.Conv(8), v.Chain(v.AvgPool(3), v.Conv(8)))),
)


def test_a_scale_of_zero_has_the_gradient_of_a_small_one():
  fused, plain = both(v.Architecture(16, STEM, dropout=0.0))
  x = images(16)
  variables = for_training(random_variables(plain, x))
  scale = variables['params']['a']['BatchNorm']['scale']
  gradients = []
  # The table has the same limit, but at zero all values of a window are equal.
  for model, value in ((fused, 0), (plain, 1e-5)):
    scale[:3] = value
    new = step(model, variables, x)[2]['a']['BatchNorm']['scale']
    gradients.append(new[:3])
  assert np.abs(gradients[1]).min() > 1e-3
  np.testing.assert_allclose(*gradients, rtol=1e-3)


@pytest.mark.parametrize(
  'fields',
  [
    {'squeeze_excite': 4},
    {'batch_norm_scale': False},
    {'freeze_through': 'a'},
    {'scan_blocks': True},
  ],
)
def test_every_option_is_fused(fields):
  block = v.Residual(v.Concat(v.Conv(4), v.Chain(v.Conv(4), v.Conv(4, 3))), 0.3)
  table = v.Architecture(
    16, (*STEM[:2], v.Stage('c', v.Repeat(block, 2, 'block'))), dropout=0.0
  )
  fused, plain = both(table, **fields)
  x = images(16)
  variables = random_variables(plain, x)
  result, expected = (step(model, variables, x) for model in (fused, plain))
  for ours, theirs in zip(result, expected):
    assert distance(ours, theirs) < 1e-5
  learns = all(map(np.any, jax.tree.leaves(result[2])))
  assert learns == ('freeze_through' not in fields)
  assert distance(*(evaluate(m, variables, x) for m in (fused, plain))) < 1e-5


def test_a_frozen_convolution_before_its_pooling_keeps_its_statistics():
  fused, plain = both(v.Architecture(16, STEM, dropout=0.0), freeze_through='a')
  x = images(16)
  variables = random_variables(plain, x)
  _, updated, gradients = step(fused, variables, x)
  old = variables['batch_stats']['a']
  assert distance(updated['batch_stats']['a'], old) == 0
  assert all(np.all(g == 0) for g in jax.tree.leaves(gradients['a']))
  assert distance(updated['batch_stats']['c'], variables['batch_stats']['c'])


def test_the_large_grid_is_never_rectified():
  """Fails if a max pooling runs after batch norm and ReLU, as in the table."""
  fused, plain = both(v.Architecture(16, STEM[:2], dropout=0.0))
  x = images(16)
  variables = random_variables(plain, x)
  texts = [
    str(jax.make_jaxpr(lambda v, x, m=m: m.apply(v, x).logits)(variables, x))
    for m in (fused, plain)
  ]
  # ReLU of the grid of 16 x 16 in the table, of 8 x 8 when fused.
  relus = [text.count('f32[4,16,16,8] = custom_jvp_call') for text in texts]
  assert relus == [0, 1]

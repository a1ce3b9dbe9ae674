"""Rules change nothing but rounding; a table matches plain Linen layers."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from inception import create_model
from inception.modules import rounding
from inception.spec import vocabulary as v
from tests.modules.interpreter import distance, evaluate, noise, step
from tests.variables import random_variables


def both(architecture, **fields):
  """Returns a network with all rules applied, and with none."""
  fields = {'num_classes': 10, 'dropout': 0.0, **fields}
  plain = create_model(architecture, fuse=False, **fields)
  return create_model(architecture, **fields), plain


def for_training(variables):
  """Returns variables that do not amplify rounding; some scales are negative.

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


POOL = v.MaxPool(3, stride=2)
FORK = v.Concat(
  v.Conv(8),
  v.Chain(v.Conv(4, relu=False), v.Conv(8, 3)),
  v.Chain(v.AvgPool(3), v.Conv(6, batch_norm=False)),
  v.Chain(v.Conv(4), v.Concat(v.Conv(2, (1, 3)), v.Conv(2, (3, 1)))),
  v.MaxPool(3),
)


@pytest.mark.parametrize(
  'blocks',
  [
    [v.SeparableConv(8, 3, depth_multiplier=2), POOL, v.LocalResponseNorm()],
    [FORK],
    [FORK, POOL, v.AdaptiveAvgPool(3)],
    [v.Conv(8), v.Gated(FORK, v.SqueezeExcite(4)), POOL],
    [v.Conv(8), v.Repeat(v.Residual(FORK, 0.3), 2, 'block')],
  ],
)
def test_rules_change_nothing_but_rounding(blocks):
  stages = tuple(v.Stage(f's{i}', block) for i, block in enumerate(blocks))
  check(*both(v.Architecture(16, stages, dropout=0.0)), noise(16))


CONVOLUTIONS = (
  v.Stage('a', v.Conv(8, 3)),
  v.Stage('b', POOL),
  v.Stage('c', v.Conv(10, relu=False)),
)


def linen(params, stats, x, rounds):
  """Computes the output and new statistics of CONVOLUTIONS with Flax layers."""
  new = {}
  for name, sizes in (('a', (8, (3, 3))), ('c', (10, (1, 1)))):
    kernel = params[name]['kernel']
    if rounds:
      kernel = rounding.round_kernel(kernel)
      x = rounding.round_activation(x, None)
    x = nn.Conv(*sizes, use_bias=False).apply({'params': {'kernel': kernel}}, x)
    norm = nn.BatchNorm(False, momentum=0.99, epsilon=1e-3)
    variables = {
      'params': params[name]['BatchNorm'],
      'batch_stats': stats[name]['BatchNorm'],
    }
    x, moved = norm.apply(variables, x, mutable=['batch_stats'])
    new[name] = {'BatchNorm': moved['batch_stats']}
    if name == 'a':
      x = nn.max_pool(nn.relu(x), (3, 3), (2, 2), 'SAME')
  return x.mean((1, 2)), new


@pytest.mark.parametrize('rounds', [False, True])
def test_a_training_step_matches_linen(rounds):
  table = v.Architecture(16, CONVOLUTIONS, dropout=0.0)
  model = create_model(table, num_classes=0, quantization_aware=rounds)
  x = noise(16)
  variables = for_training(random_variables(model, x))
  cotangent = np.random.default_rng(2).normal(size=(4, 10)).astype('f4')

  def ours(params):
    outputs, updated = model.apply(
      {**variables, 'params': params},
      x,
      train=True,
      endpoints=True,
      mutable=['batch_stats'],
    )
    y = outputs.endpoints['PreLogits']
    return (y * cotangent).sum(), (y, updated['batch_stats'])

  def theirs(params):
    y, new = linen(params, variables['batch_stats'], x, rounds)
    return (y * cotangent).sum(), (y, new)

  found, wanted = (
    jax.jit(jax.value_and_grad(f, has_aux=True))(variables['params'])
    for f in (ours, theirs)
  )
  assert distance(found, wanted) < 1e-5


STEM = (
  v.Stage('a', v.Conv(8, 3)),
  v.Stage('b', v.MaxPool(3, stride=2)),
  v.Stage('c', v.Concat(v.Conv(8), v.Chain(v.AvgPool(3), v.Conv(8)))),
)


def test_a_scale_of_zero_has_the_gradient_of_a_small_one():
  fused, plain = both(v.Architecture(16, STEM, dropout=0.0))
  x = noise(16)
  variables = for_training(random_variables(plain, x))
  scale = variables['params']['a']['BatchNorm']['scale']
  gradients = []
  # The table has the same limit, but at zero all values of a window are equal.
  for model, value in ((fused, 0), (plain, 1e-4)):
    scale[:3] = value
    new = step(model, variables, x)[2]['a']['BatchNorm']['scale']
    gradients.append(new[:3])
  assert np.abs(gradients[1]).min() > 1e-3
  np.testing.assert_allclose(*gradients, rtol=5e-3)


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
  x = noise(16)
  variables = random_variables(plain, x)
  result, expected = (step(model, variables, x) for model in (fused, plain))
  for ours, theirs in zip(result, expected):
    assert distance(ours, theirs) < 1e-5
  learns = all(map(np.any, jax.tree.leaves(result[2])))
  assert learns == ('freeze_through' not in fields)
  assert distance(*(evaluate(m, variables, x) for m in (fused, plain))) < 1e-5


def test_a_frozen_convolution_before_its_pooling_keeps_its_statistics():
  fused, plain = both(v.Architecture(16, STEM, dropout=0.0), freeze_through='a')
  x = noise(16)
  variables = random_variables(plain, x)
  _, updated, gradients = step(fused, variables, x)
  old = variables['batch_stats']['a']
  assert distance(updated['batch_stats']['a'], old) == 0
  assert all(np.all(g == 0) for g in jax.tree.leaves(gradients['a']))
  assert distance(updated['batch_stats']['c'], variables['batch_stats']['c'])


def test_the_large_grid_is_never_rectified():
  """Fails if a max pooling runs after batch norm and ReLU, as in the table."""
  fused, plain = both(v.Architecture(16, STEM[:2], dropout=0.0))
  x = noise(16)
  variables = random_variables(plain, x)
  texts = [
    str(jax.make_jaxpr(lambda v, x, m=m: m.apply(v, x).logits)(variables, x))
    for m in (fused, plain)
  ]
  # ReLU runs on the 16 x 16 grid in the table, on the 8 x 8 grid when fused.
  relus = [text.count('f32[4,16,16,8] = custom_jvp_call') for text in texts]
  assert relus == [0, 1]


def test_a_separable_convolution_is_not_rounded():
  """int8 runs it in float32."""
  conv = v.SeparableConv(8, 3, depth_multiplier=2)
  table = v.Architecture(16, (v.Stage('a', conv),), dropout=0.0)
  x = noise(16)
  variables = random_variables(create_model(table), x)
  exact, aware = (
    step(create_model(table, quantization_aware=rounds), variables, x)[1]
    for rounds in (False, True)
  )
  assert distance(exact, aware) == 0


def test_endpoints_run_by_the_same_rules():
  fused, plain = both(v.Architecture(16, STEM, dropout=0.0))
  x = noise(16)
  variables = random_variables(plain, x)
  outputs = [
    jax.jit(lambda v, x, m=m: m.apply(v, x, endpoints=True))(variables, x)
    for m in (fused, plain)
  ]
  assert set(outputs[0].endpoints) == {'a', 'b', 'c', 'PreLogits'}
  assert distance(*outputs) < 1e-5

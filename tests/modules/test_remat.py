"""Rematerialization changes memory and time, not what a step computes."""

import functools

import jax
import jax.numpy as jnp
import pytest

from inception import create_model
from inception.spec import vocabulary as v
from tests.modules.interpreter import distance, noise, step
from tests.variables import random_variables

# A stage of many convolutions with a small output.
_INSIDE = v.Chain(*[v.Conv(16, 3) for _ in range(3)], v.Conv(4))
_BRANCH = v.Chain(v.Conv(16), v.Conv(16, 3))
_BLOCK = v.Residual(v.Concat(v.Conv(4), _BRANCH), 0.3)
TABLE = v.Architecture(
  32,
  (
    v.Stage('a', _INSIDE),
    v.Stage('b', v.MaxPool(3, stride=2)),
    v.Stage('c', v.Repeat(_BLOCK, 2, 'block')),
  ),
  dropout=0.3,
)


def model(**fields):
  return create_model(TABLE, num_classes=10, **fields)


@pytest.mark.parametrize(
  'fields',
  [
    {},
    {'fuse': False},
    {'fuse': False, 'scan_blocks': True},
    pytest.param({'scan_blocks': True}, marks=pytest.mark.slow),
  ],
)
def test_a_step_is_the_same(fields):
  plain, again = (model(remat=remat, **fields) for remat in (False, True))
  x = noise(32)
  variables = random_variables(plain, x)
  result, expected = (step(m, variables, x) for m in (again, plain))
  for ours, theirs in zip(result, expected):
    assert distance(ours, theirs) < 1e-5


@pytest.mark.parametrize('fuse', [True, False])
def test_activations_inside_stages_are_not_kept(fuse):
  x = noise(32, rows=16)
  variables = random_variables(model(), x)
  kept, again = (
    _residual_bytes(model(remat=remat, fuse=fuse), variables, x)
    for remat in (False, True)
  )
  assert again < 0.4 * kept


def _residual_bytes(network, variables, x):
  """Returns the bytes that a gradient keeps from the forward pass."""

  def logits(params):
    outputs, _ = network.apply(
      {**variables, 'params': params},
      x,
      train=True,
      mutable=['batch_stats'],
      rngs={'dropout': jax.random.key(0)},
    )
    return jnp.sum(outputs.logits)

  gradient = functools.partial(jax.vjp, logits)
  _, pullback = jax.eval_shape(gradient, variables['params'])
  kept = jax.tree.leaves(pullback)
  return sum(leaf.size * leaf.dtype.itemsize for leaf in kept)

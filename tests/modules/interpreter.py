"""Runs single blocks and small networks, for tests."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from inception.modules.options import Options
from inception.modules.stage import run_block
from inception.spec import vocabulary as v
from inception.spec.scopes import Scoped, scope_branch, scope_stage
from inception.spec.transforms import without_batch_norm
from inception.spec.words import words_of

OPTIONS = Options(batch_norm_decay=0.9)


def without_batch_norm_block(block):
  table = v.Architecture(8, (v.Stage('stage', block),), dropout=0.0)
  return without_batch_norm(table).stages[0].block


class Block(nn.Module):
  """A stage, or a branch, that no rule rewrites."""

  node: Scoped
  options: Options = OPTIONS

  @nn.compact
  def __call__(self, x, train=False):
    words = words_of(self.node)
    return run_block(self, self.node, words, self.options, x, train)


def run(block, x, train=False, batch_norm=False, options=OPTIONS):
  """Runs a block; returns its output and its variables."""
  if not batch_norm:
    block = without_batch_norm_block(block)
  model = Block(scope_stage('stage', block), options)

  @jax.jit
  def init_and_run(x):
    variables = model.init(jax.random.key(0), x)
    y, _ = model.apply(variables, x, train, mutable=['batch_stats'])
    return y, variables

  return init_and_run(x)


def concatenate(block, params, x):
  """Runs the branches of a `Concat` one by one and concatenates them."""
  outputs = []
  for i, part in enumerate(without_batch_norm_block(block).blocks):
    variables = {'params': params[f'Branch_{i}']}
    outputs.append(Block(scope_branch('', part)).apply(variables, x))
  return jnp.concatenate(outputs, axis=-1)


def images(*shape):
  return jax.random.normal(jax.random.key(1), shape)


def paths(params):
  flat = jax.tree_util.tree_flatten_with_path(params)[0]
  return ['/'.join(k.key for k in path) for path, _ in flat]


def noise(size, rows=4):
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
  """Returns the norm of the difference relative to that of `other`."""
  assert jax.tree.structure(tree) == jax.tree.structure(other)
  pairs = list(zip(jax.tree.leaves(tree), jax.tree.leaves(other)))
  difference = sum(np.sum(np.square(np.float64(a - b))) for a, b in pairs)
  total = sum(np.sum(np.square(b)) for _, b in pairs)
  return np.sqrt(difference / total) if pairs else 0.0

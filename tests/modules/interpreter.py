"""Runs single blocks of the vocabulary, for tests."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from inception.modules import blocks
from inception.modules.options import Options
from inception.spec import vocabulary as v
from inception.spec.scopes import Scoped, scope_branch, scope_stage
from inception.spec.transforms import without_batch_norm

OPTIONS = Options(
  kernel_init=jax.nn.initializers.he_normal(),
  dtype=jnp.float32,
  batch_norm_scale=True,
  batch_norm_decay=0.9,
  batch_norm_epsilon=1e-3,
  batch_norm_axis=None,
  scan_blocks=False,
  remat=False,
  quantization_aware=False,
)


def without_batch_norm_block(block):
  table = v.Architecture(8, (v.Stage('stage', block),), dropout=0.0)
  return without_batch_norm(table).stages[0].block


def run(block, x, train=False, batch_norm=False, options=OPTIONS):
  """Runs a block; returns its output and its variables."""
  if not batch_norm:
    block = without_batch_norm_block(block)
  node = scope_stage('stage', block)

  class Network(nn.Module):
    @nn.compact
    def __call__(self, x):
      return blocks.run(node, options, x, train)

  return jax.jit(Network().init_with_output)(jax.random.key(0), x)


def concatenate(block, params, x):
  """Runs the branches of a `Concat` one by one and concatenates them."""

  class Branch(nn.Module):
    node: Scoped

    @nn.compact
    def __call__(self, x):
      return blocks.run(self.node, OPTIONS, x, False)

  outputs = []
  for i, part in enumerate(without_batch_norm_block(block).blocks):
    variables = {'params': params[f'Branch_{i}']}
    outputs.append(Branch(scope_branch('', part)).apply(variables, x))
  return jnp.concatenate(outputs, axis=-1)


def images(*shape):
  return jax.random.normal(jax.random.key(1), shape)


def paths(params):
  flat = jax.tree_util.tree_flatten_with_path(params)[0]
  return ['/'.join(k.key for k in path) for path, _ in flat]

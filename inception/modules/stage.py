"""The Flax modules of blocks and stages, which own names and variables.

The table determines the variables of a block (`spec.unroll`); the interpreter
runs the block with them.
"""

from collections.abc import Mapping
from typing import Any

from flax import linen as nn
import jax

from inception.modules import interpreter
from inception.modules.floats import Floats
from inception.modules.options import Options
from inception.spec import rules, scopes, unroll
from inception.spec.words import Loop, Series

Array = jax.Array

# Initial values of all variables except kernels.
_FIRST_VALUES = {
  'bias': nn.initializers.zeros,
  'scale': nn.initializers.ones,
  'mean': nn.initializers.zeros,
  'var': nn.initializers.ones,
}


class Stage(nn.Module):
  """Runs a group of stages of the trunk.

  Its variables are the first stage's, such as `Branch_0/Conv2d_0a_1x1/kernel`.

  Attributes:
    group: The stages and their words.
    options: How layers compute.
  """

  group: rules.Group
  options: Options

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    """Maps NHWC activations to NHWC activations."""
    node = scopes.scope_stage('', self.group.stages[0].block)
    return run_block(self, node, self.group.words, self.options, x, train)


def run_block(
  module: nn.Module,
  node: scopes.Scoped,
  words: Series,
  options: Options,
  x: Array,
  train: bool,
) -> Array:
  """Runs the words of a block inside a module, which holds its variables.

  Maps NHWC activations to NHWC activations in `options.dtype`. The words may
  have been rewritten by rules.
  """
  if module.is_initializing():
    height, width, channels = x.shape[1:]
    layers = unroll.node_layers(node, (height, width, channels))
    _make(module, _shapes(layers, options), options)
    train = False

  def run(x: Array) -> tuple[Array, dict[str, Any]]:
    numbers = Floats(module.variables, options, train)
    return interpreter.run(words, numbers, x), numbers.updated

  # A loop rematerializes its blocks one by one.
  in_one = options.remat and train and not isinstance(words[0], Loop)
  x, updated = (jax.checkpoint(run) if in_one else run)(x)
  for name, statistics in updated.items():
    module.put_variable('batch_stats', name, statistics)
  return x


class _Scope(nn.Module):
  shapes: Mapping[str, Any]
  options: Options

  @nn.compact
  def __call__(self) -> None:
    _make(self, self.shapes, self.options)


def _make(
  module: nn.Module, shapes: Mapping[str, Any], options: Options
) -> None:
  """Makes variables in the scope of a module, and below it."""
  for name, shape in shapes.items():
    first = _FIRST_VALUES.get(name, options.kernel_init)
    if isinstance(shape, Mapping):
      _Scope(shape, options, name=name)()
    elif name in ('mean', 'var'):
      module.variable('batch_stats', name, first, None, shape)
    else:
      module.param(name, first, shape)


def _shapes(
  layers: tuple[unroll.Layer, ...], options: Options
) -> dict[str, Any]:
  """Returns the shape of every variable, as a tree."""
  shapes: dict[str, Any] = {}
  for layer in layers:
    own = layer.parameters(options.batch_norm_scale) | layer.statistics
    for name, shape in own.items():
      path = tuple(filter(None, f'{layer.scope}/{name}'.split('/')))
      interpreter.put_at(shapes, path, shape)
  return shapes

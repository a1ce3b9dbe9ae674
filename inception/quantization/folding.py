"""Folds batch norm into the preceding convolution, for evaluation."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from inception.modules.network import Network
from inception.spec import transforms

Variables = Mapping[str, Any]

# Its batch norm outputs the network's features, so it is kept.
_BOTTLENECK = 'Bottleneck'


def fold_batch_norm(
  model: Network, variables: Variables
) -> tuple[Network, dict[str, Any]]:
  """Returns an equivalent network without batch norm.

  With moving statistics, scale * (conv(x) - mean) / sqrt(var + epsilon) + bias
  is a convolution with a different kernel and a bias.

  Args:
    model: A network.
    variables: Its {'params', 'batch_stats'}.

  Returns:
    The network with biases, and its variables. A bottleneck keeps its batch
    norm.
  """
  epsilon = model.options.batch_norm_epsilon
  params, stats = _fold(
    variables['params'], variables.get('batch_stats', {}), epsilon
  )
  folded = {'params': params}
  if stats:
    folded['batch_stats'] = stats
  table = transforms.without_batch_norm(model.architecture)
  return model.clone(architecture=table), folded


def _fold(
  params: Variables, stats: Variables, epsilon: float
) -> tuple[dict[str, Any], dict[str, Any]]:
  """Folds the layers of a scope; returns its new params and batch_stats."""
  if 'BatchNorm' in stats:
    return _fold_layer(params, stats['BatchNorm'], epsilon), {}
  left_params, left_stats = {}, {}
  for name, value in params.items():
    inner = stats.get(name, {})
    if name != _BOTTLENECK and isinstance(value, Mapping):
      value, inner = _fold(value, inner, epsilon)
    left_params[name] = value
    if inner:
      left_stats[name] = inner
  return left_params, left_stats


def _fold_layer(
  params: Variables, stats: Variables, epsilon: float
) -> dict[str, Any]:
  """Folds one convolution: `kernel` [..., out] and perhaps a depthwise one."""
  norm = params.get('BatchNorm', {})  # Empty without scale and bias.
  # In NumPy, as JAX would compile a program for each shape.
  params, norm, stats = jax.tree.map(np.asarray, (params, norm, stats))
  factor = norm.get('scale', np.float32(1)) / np.sqrt(stats['var'] + epsilon)
  layer = {name: leaf for name, leaf in params.items() if name != 'BatchNorm'}
  layer['kernel'] = params['kernel'] * factor
  layer['bias'] = norm.get('bias', np.float32(0)) - stats['mean'] * factor
  return jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), layer)

"""The whole network on a target: trunk, pooling, classifier."""

from collections.abc import Callable, Mapping
import dataclasses
from typing import Any

import jax
import numpy as np

from inception.export.graph import Graph, Tensor
from inception.export.target import PIXEL, Kernel, Target, Value
from inception.modules import heads, interpreter
from inception.modules.activations import ACTIVATIONS
from inception.modules.network import Network
from inception.predict.predictor import Model
from inception.quantization.folding import fold_batch_norm
from inception.spec import rules

LOGITS, FEATURES, PROBABILITIES = 'logits', 'PreLogits', 'probabilities'


def walk(
  model: Model,
  variables: Mapping[str, Any],
  target: Target,
  images: Value,
  image_size: int,
) -> dict[str, Tensor]:
  """Writes a network.

  Args:
    model: The network.
    variables: Its variables.
    target: What is written to.
    images: The normalized images, a value of the target.
    image_size: Their height and width in pixels.

  Returns:
    The output of every stage, a grid, by its name; and features: 'PreLogits',
    and 'logits' and 'probabilities' if the network has a classifier.
  """
  if isinstance(model, Network):
    model, variables = fold_batch_norm(model, variables)
  variables = jax.tree.map(np.asarray, variables)
  # Loops are unrolled.
  options = dataclasses.replace(model.options, scan_blocks=False)
  graph = Graph(variables, options, target)
  x = graph.round(Tensor(images, (image_size, image_size, 3)), 'images')
  outputs = {}
  for group in rules.trunk(model.architecture, rules=()):
    (stage,) = group.stages
    inside = interpreter.variables_at(variables, (stage.name,))
    x = interpreter.run(group.words, graph.inside(inside), x)
    outputs[stage.name] = x
  head = graph.inside(interpreter.variables_at(variables, ('Logits',)))
  features = _features(model, head, x)
  outputs[FEATURES] = features
  if model.num_classes:
    logits = head.dense(head.round(features, 'features'), ('Logits',))
    last = _PROBABILITIES[model.activation](target, logits.value)
    outputs[LOGITS] = logits
    outputs[PROBABILITIES] = dataclasses.replace(logits, value=last)
  return outputs


_PROBABILITIES: dict[str, Callable[[Target, Value], Value]] = {
  'softmax': lambda target, logits: target.softmax(logits),
  'sigmoid': lambda target, logits: target.sigmoid(logits),
}
assert _PROBABILITIES.keys() == ACTIVATIONS.keys()


def _features(model: Model, head: Graph, x: Tensor) -> Tensor:
  """Pools the last grid; applies the bottleneck, if there is one."""
  pooled = _POOLINGS[model.head_pooling](head, x)
  features = Tensor(pooled, (x.shape[2],))
  if model.architecture.bottleneck is None:
    return features
  kernel = _bottleneck(head.variables, model.options.batch_norm_epsilon)
  value = head.target.dense(features.value, kernel)
  return Tensor(value, (model.architecture.bottleneck,))


def _bottleneck(variables: Mapping[str, Any], epsilon: float) -> Kernel:
  """Returns the bottleneck with its batch norm folded in."""
  layer = interpreter.variables_at(variables, ('Bottleneck',))
  norm, stats = layer['params']['BatchNorm'], layer['batch_stats']['BatchNorm']
  factor = norm.get('scale', np.float32(1)) / np.sqrt(stats['var'] + epsilon)
  return Kernel(
    (layer['params']['kernel'] * factor).astype(np.float32),
    (norm['bias'] - stats['mean'] * factor).astype(np.float32),
  )


def _generalized_mean(head: Graph, x: Tensor) -> Value:
  params = head.variables['params']['GeneralizedMeanPool']
  exponent, target = float(params['exponent']), head.target
  positive = target.at_least(x.value, heads.SMALLEST)
  mean = target.mean_of_grid(target.power(positive, exponent))
  return target.power(mean, 1 / exponent)


def _attention(head: Graph, x: Tensor) -> Value:
  """Multiplies the grid by weights of its positions; see `AttentionPool`."""
  height, width, channels = x.shape
  query = head.variables['params']['AttentionPool']['query']['kernel']
  scaled = (query / np.sqrt(np.float32(channels))).astype(np.float32)
  target = head.target
  scores = target.convolve(x.value, Kernel(scaled[None, None]), PIXEL)
  weights = target.softmax_of_grid(scores)
  # Copies the weights of each head to its channels, and makes the sum a mean.
  count = query.shape[1]
  copies = np.repeat(np.eye(count, dtype=np.float32), channels // count, axis=1)
  copies *= height * width
  weights = target.convolve(weights, Kernel(copies[None, None]), PIXEL)
  return target.mean_of_grid(target.multiply(x.value, weights))


_POOLINGS: dict[str, Callable[[Graph, Tensor], Value]] = {
  'average': lambda head, x: head.target.mean_of_grid(x.value),
  'attention': _attention,
  'max': lambda head, x: head.target.max_of_grid(x.value),
  'gem': _generalized_mean,
}
assert _POOLINGS.keys() == heads.HEAD_POOLINGS.keys()

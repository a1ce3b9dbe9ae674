"""Exported graphs compute what the network computes, word by word."""

import dataclasses
import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from inception.data.device import feed
from inception.modules.create import create_model
from inception.quantization import int8
from inception.quantization.quantize import Calibration, quantize
from inception.spec import vocabulary as v
from tests.export.files import network_of, run_onnx, run_tensorflow
from tests.modules.interpreter import evaluate, noise
from tests.tables import PIECES


def table_of(*blocks, size=12, **fields):
  stages = tuple(v.Stage(f's{i}', block) for i, block in enumerate(blocks))
  return v.Architecture(size, stages, dropout=0.0, **fields)


def check(table, size=None, most=2e-6, **fields):
  """Compares the logits of a file with those of the network."""
  size = size or table.input_size
  model = create_model(table, num_classes=10, **fields)
  network = network_of(model, size)
  images = noise(size, 2)
  right = np.asarray(evaluate(model, network.variables, images))
  for run in (run_onnx, run_tensorflow):
    found = run(network, images)['logits']
    np.testing.assert_allclose(found, right, atol=most * np.abs(right).max())


# Residual and repeated blocks, bottlenecks, both kinds of normalization.
@pytest.mark.parametrize('name', PIECES)
def test_pieces_of_all_networks(name):
  check(PIECES[name])


WINDOWS = list(
  itertools.product(('SAME', 'VALID', 'SYMMETRIC'), (1, 2), (9, 12))
)


@pytest.mark.parametrize(('padding', 'stride', 'size'), WINDOWS)
def test_windows(padding, stride, size):
  how = {'padding': padding, 'stride': stride}
  check(
    table_of(
      v.Concat(
        v.Conv(8, 3, **how),
        v.MaxPool(3, **how),
        v.AvgPool(3, **how),
        v.AvgPool(3, count_include_pad=True, **how),
        v.SeparableConv(8, 3, depth_multiplier=2, **how),
      ),
      v.Conv(8, (1, 3)),
    ),
    size,
  )


RESIDUAL = v.Residual(v.Concat(v.Conv(8), v.Conv(8, 3)), 0.2)
HEAD = table_of(v.Conv(16, 3), RESIDUAL)


@pytest.mark.parametrize(
  'fields',
  [
    {'head_pooling': 'max'},
    {'head_pooling': 'gem'},
    {'head_pooling': 'attention'},
    {'squeeze_excite': 4},
  ],
)
def test_heads_and_gates(fields):
  check(HEAD, **fields)


def test_a_bottleneck_and_local_response_norm():
  check(table_of(v.Conv(16, 3), v.LocalResponseNorm(), bottleneck=8))


@pytest.mark.parametrize('activation', ['softmax', 'sigmoid'])
def test_all_outputs(activation):
  model = create_model(HEAD, num_classes=10, activation=activation)
  network = network_of(model, 12)
  images = noise(12, 2)
  found = run_onnx(
    network, images, outputs=('probabilities', 'PreLogits', 's0', 'logits')
  )
  right = network(images, endpoints=True)
  for name in ('PreLogits', 's0'):
    np.testing.assert_allclose(found[name], right.endpoints[name], atol=1e-5)
  logits = np.asarray(right.logits)
  expected = {
    'softmax': np.exp(logits) / np.exp(logits).sum(1, keepdims=True),
    'sigmoid': 1 / (1 + np.exp(-logits)),
  }
  np.testing.assert_allclose(
    found['probabilities'], expected[activation], atol=1e-6
  )


def test_pixels_are_normalized_in_the_file():
  network = network_of(
    create_model(HEAD, num_classes=10),
    12,
    mean=(100.0, 110.0, 120.0),
    std=(50.0, 60.0, 70.0),
    channel_order='BGR',
  )
  state = np.random.RandomState(0)
  pixels = state.randint(0, 256, (2, 12, 12, 3)).astype(np.uint8)
  found = run_onnx(network, pixels, input='pixels')['logits']
  images = feed.normalize(jnp.asarray(pixels), network.config.data)
  right = np.asarray(network(images).logits)
  np.testing.assert_allclose(found, right, atol=2e-6 * np.abs(right).max())


def test_float16_rounds_a_little():
  network = network_of(create_model(HEAD, num_classes=10), 12)
  images = noise(12, 2)
  found = run_onnx(network, images, precision='float16')['logits']
  right = np.asarray(network(images).logits)
  assert found.dtype == np.float32
  difference = np.abs(found - right).max() / np.abs(right).max()
  assert 1e-6 < difference < 5e-3


@pytest.mark.parametrize('activations', ['signed', 'unsigned'])
@pytest.mark.parametrize('fields', [{}, {'squeeze_excite': 4}])
def test_int8_computes_with_the_same_scales(activations, fields):
  table = table_of(
    v.SeparableConv(8, 3),
    v.LocalResponseNorm(),
    v.Concat(v.Conv(8, 3), v.Chain(v.AvgPool(3), v.Conv(8)), v.MaxPool(3)),
    RESIDUAL,
  )
  model = create_model(table, num_classes=10, **fields)
  float_network = network_of(model, 12)
  images = noise(12, 4)
  variables = quantize(
    model, float_network.variables, [jnp.asarray(images)], Calibration(1, 'max')
  )
  network = dataclasses.replace(
    float_network, model=int8.make_quantized(model), variables=variables
  )
  found = run_onnx(network, images, precision='int8', activations=activations)[
    'logits'
  ]
  if activations == 'signed':
    other = run_tensorflow(network, images)['logits']
    np.testing.assert_allclose(found, other, atol=0.02 * np.abs(found).max())
  right = np.asarray(evaluate(network.model, variables, images))
  floats = np.asarray(evaluate(model, float_network.variables, images))
  largest = np.abs(right).max()
  difference = np.abs(found - right).max() / largest
  # Some numbers are rounded to their neighbors; float32 is farther away.
  assert difference < 0.02
  assert difference < np.abs(found - floats).max() / largest

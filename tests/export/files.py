"""Networks with drawn weights, exported and run in Python, for tests."""

import ml_collections
import numpy as np
import onnx.reference
from onnx.reference.op_run import OpRun

from inception.config import default
from inception.data.tensorflow import tf
from inception.export import onnx_file, walk
from inception.export.request import Request
from inception.export.tensorflow_target import TensorFlowTarget
from inception.predict.load import Pretrained
from tests.variables import random_variables


class LRN(OpRun):
  """ONNX's own one normalizes only as many channels as there are images."""

  op_domain = ''

  def _run(self, x, alpha=None, beta=None, bias=None, size=None):
    squares = np.pad(
      x**2, [(0, 0), ((size - 1) // 2, size // 2), *[(0, 0)] * 2]
    )
    total = sum(squares[:, i : i + x.shape[1]] for i in range(size))
    return ((x / (bias + alpha / size * total) ** beta).astype(x.dtype),)


def make_config(**data) -> ml_collections.ConfigDict:
  config = default.get_config()
  config.model.num_classes = 10
  config.data.dataset = 'none'
  config.data.update(data)
  return config


def network_of(model, size, **data) -> Pretrained:
  """Returns a network with random weights."""
  images = np.zeros((1, size, size, 3), np.float32)
  config = make_config(image_size=size, **data)
  variables = random_variables(model, images)
  if model.head_pooling == 'gem':  # Its root would magnify rounding.
    head = variables['params']['Logits']['GeneralizedMeanPool']
    head['exponent'] = np.float32(3)
  return Pretrained(model, variables, config, 7, 0.5)


def run_onnx(network, images, **how):
  """Exports a network to ONNX; runs the file in ONNX's own interpreter."""
  size = images.shape[1]
  request = Request(**{'input': 'normalized', 'image_size': size, **how})
  content = onnx_file.build(network, request, {})
  model = onnx.load_from_string(content)
  # The interpreter has no operations of int8 in earlier versions.
  model.opset_import[0].version = 21
  evaluator = onnx.reference.ReferenceEvaluator(model, new_ops=[LRN])
  found = evaluator.run(None, {'images': images})
  return dict(zip(request.outputs, found))


def run_tensorflow(network, images):
  """Runs the operations of TensorFlow one by one; returns all outputs."""
  target = TensorFlowTarget()
  x = target.images(tf.constant(images))
  outputs = walk.walk(
    network.model, network.variables, target, x, images.shape[1]
  )
  return {name: tensor.value.numpy() for name, tensor in outputs.items()}

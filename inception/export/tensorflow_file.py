"""Networks as TensorFlow's SavedModel."""

from collections.abc import Mapping
import errno
import json
import os
from typing import Any

from inception import paths
from inception.data.device import feed
from inception.data.tensorflow import tf
from inception.export import walk
from inception.export.request import Request
from inception.export.running import Run
from inception.export.tensorflow_target import TensorFlowTarget
from inception.predict.load import Pretrained

_FACTS = 'inception.json'


def save(
  network: Pretrained,
  request: Request,
  facts: Mapping[str, str],
  path: paths.Path,
) -> None:
  """Writes a folder that `tf.saved_model.load` reads.

  Raises:
    OSError: The disk is full.
  """
  module, function = traced(network, request)
  try:
    tf.saved_model.save(module, os.fspath(path), {'serving_default': function})
  except tf.errors.ResourceExhaustedError as error:
    # Of a full disk, or of memory.
    full = os.strerror(errno.ENOSPC)
    if full not in error.message:
      raise
    raise OSError(errno.ENOSPC, full) from error
  (path / 'assets' / _FACTS).write_text(json.dumps(dict(facts), indent=2))


def open_file(path: paths.Path) -> Run:
  """Returns a function that runs a SavedModel in TensorFlow."""
  loaded = tf.saved_model.load(os.fspath(path))
  run = loaded.signatures['serving_default']
  return lambda images: {
    name: value.numpy()
    for name, value in run(images=tf.constant(images)).items()
  }


def traced(network: Pretrained, request: Request) -> tuple[Any, Any]:
  """Returns a module with the network, and its function for images."""
  dtype, normalization = tf.float32, None
  if request.input == 'pixels':
    dtype = tf.uint8
    normalization = feed.normalization(network.config.data)
  size = request.image_size

  def run(images: Any) -> dict[str, Any]:
    target = TensorFlowTarget()
    x = target.images(images, normalization)
    outputs = walk.walk(network.model, network.variables, target, x, size)
    return {name: outputs[name].value for name in request.outputs}

  module = tf.Module()
  shape = [request.batch_size, size, size, 3]
  module.run = tf.function(
    run, input_signature=[tf.TensorSpec(shape, dtype, 'images')]
  )
  return module, module.run.get_concrete_function()

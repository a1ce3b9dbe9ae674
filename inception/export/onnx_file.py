"""Networks as ONNX files, and how to run these."""

from collections.abc import Mapping
import os
from typing import Any

import numpy as np

from inception import paths
from inception.data.device import feed
from inception.export import walk
from inception.export.onnx_target import OnnxTarget
from inception.export.request import Request
from inception.export.running import Run
from inception.predict.load import Pretrained


def build(
  network: Pretrained, request: Request, facts: Mapping[str, str]
) -> bytes:
  """Returns the content of an ONNX file."""
  target = OnnxTarget(
    np.float16 if request.precision == 'float16' else np.float32,
    request.activations == 'unsigned',
  )
  batch: int | str = request.batch_size or 'batch'
  normalization = None
  if request.input == 'pixels':
    normalization = feed.normalization(network.config.data)
  images = target.images(batch, request.image_size, normalization)
  outputs = walk.walk(
    network.model, network.variables, target, images, request.image_size
  )
  wanted = {name: outputs[name] for name in request.outputs}
  return target.finish(wanted, batch, facts)


def save(
  network: Pretrained,
  request: Request,
  facts: Mapping[str, str],
  path: paths.Path,
) -> None:
  """Writes an ONNX file."""
  path.write_bytes(build(network, request, facts))


def open_file(path: paths.Path) -> Run:
  """Returns a function that runs a file in ONNX Runtime."""
  import onnxruntime

  session = onnxruntime.InferenceSession(
    os.fspath(path), providers=['CPUExecutionProvider']
  )
  names = [output.name for output in session.get_outputs()]

  def run(images: np.ndarray) -> dict[str, Any]:
    return dict(zip(names, session.run(names, {'images': images})))

  return run

"""Our exported files in other runtimes, timed next to the network itself."""

import io
import os
import tempfile
from typing import Any

import jax
import numpy as np

from benchmarks import networks
from inception import paths
from inception.config import default
from inception.export.request import Request
from inception.predict.load import Pretrained


def onnxruntime(
  architecture: str,
  precision: str,
  rows: int,
  size: int,
  activations: str | None = None,
) -> Any:
  """ONNX Runtime; `activations` as in `Request`, then in int8 only."""
  import onnxruntime as package

  content = _onnx(architecture, precision, size, activations)
  if content is None:
    return None
  options = package.SessionOptions()
  options.intra_op_num_threads = len(os.sched_getaffinity(0))
  session = package.InferenceSession(
    content, options, providers=package.get_available_providers()
  )
  images = np.zeros((rows, size, size, 3), np.float32)
  return lambda: session.run(None, {'images': images})


def openvino(
  architecture: str,
  precision: str,
  rows: int,
  size: int,
  activations: str | None = None,
) -> Any:
  """OpenVINO on the same ONNX file."""
  import openvino as package

  content = _onnx(architecture, precision, size, activations)
  if content is None:
    return None
  core = package.Core()
  # By default, it computes float32 in bfloat16 on CPUs that have it.
  compiled = core.compile_model(
    core.read_model(io.BytesIO(content)),
    'CPU',
    {'INFERENCE_PRECISION_HINT': 'f32'},
  )
  images = np.zeros((rows, size, size, 3), np.float32)
  return lambda: list(compiled({'images': images}).values())


def litert(architecture: str, precision: str, rows: int, size: int) -> Any:
  """LiteRT."""
  from ai_edge_litert import interpreter

  from inception.export import litert_file

  if precision not in ('float32', 'float16', 'int8'):
    return None
  request = Request(
    input='normalized', precision=precision, image_size=size, batch_size=rows
  )
  with tempfile.TemporaryDirectory() as folder:
    path = paths.Path(folder) / 'a.tflite'
    network = _network(architecture, precision, size)
    litert_file.save(network, request, {}, path)
    opened = interpreter.Interpreter(
      model_path=os.fspath(path), num_threads=len(os.sched_getaffinity(0))
    )
  runner = opened.get_signature_runner()
  images = np.zeros((rows, size, size, 3), np.float32)
  return lambda: runner(images=images)


def _onnx(
  architecture: str, precision: str, size: int, activations: str | None
) -> bytes | None:
  """Returns an ONNX file; None if there is none of this precision."""
  from inception.export import onnx_file

  known = ('int8',) if activations else ('float32', 'float16', 'int8')
  if precision not in known:
    return None
  request = Request(
    input='normalized',
    precision=precision,
    image_size=size,
    activations=activations,
  )
  return onnx_file.build(_network(architecture, precision, size), request, {})


def _network(architecture: str, precision: str, size: int) -> Pretrained:
  model, variables = networks.random_weights(architecture, precision)
  config = default.get_config()
  config.model.architecture = architecture
  config.model.num_classes = model.num_classes
  config.data.image_size = size
  return Pretrained(model, jax.tree.map(np.asarray, variables), config)

"""Networks as LiteRT (TensorFlow Lite) files."""

from collections.abc import Mapping
import json
import os
from typing import Any

import flatbuffers
import numpy as np

from inception import paths
from inception.data.tensorflow import litert_schema, tf
from inception.export import tensorflow_file
from inception.export.request import Request
from inception.export.running import Run
from inception.predict.load import Pretrained

# Name of our entry in the metadata of a file, JSON.
METADATA = 'inception'


def save(
  network: Pretrained,
  request: Request,
  facts: Mapping[str, str],
  path: paths.Path,
) -> None:
  """Writes a LiteRT file."""
  module, function = tensorflow_file.traced(network, request)
  converter = tf.lite.TFLiteConverter.from_concrete_functions(
    [function], module
  )
  if request.precision != 'float32':
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
  if request.precision == 'float16':
    converter.target_spec.supported_types = [tf.float16]
  path.write_bytes(_with_facts(converter.convert(), facts))


def open_file(path: paths.Path) -> Run:
  """Returns a function that runs a file in LiteRT."""
  from ai_edge_litert import interpreter

  opened = interpreter.Interpreter(model_path=os.fspath(path))
  runner = opened.get_signature_runner()

  def run(images: np.ndarray) -> dict[str, Any]:
    return dict(runner(images=images))

  return run


def _with_facts(content: bytes, facts: Mapping[str, str]) -> bytes:
  """Adds facts to the metadata of a file."""
  schema = litert_schema()
  model = schema.ModelT.InitFromPackedBuf(bytearray(content))
  buffer, entry = schema.BufferT(), schema.MetadataT()
  buffer.data = np.frombuffer(json.dumps(dict(facts)).encode(), np.uint8)
  entry.name, entry.buffer = METADATA, len(model.buffers)
  model.buffers.append(buffer)
  model.metadata = [*(model.metadata or ()), entry]
  builder = flatbuffers.Builder(len(content) + len(buffer.data))
  builder.Finish(model.Pack(builder), file_identifier=b'TFL3')
  return bytes(builder.Output())

"""TensorFlow and TFDS for the host pipeline, without accelerators.

TensorFlow only reads and decodes here. At its first use it would allocate the
memory of every GPU that it sees, so accelerators are hidden at import: once
TensorFlow is initialized it is too late.
"""

import os
from typing import Any

# Drop C++ log messages; real errors are raised. TF_CPP_MIN_LOG_LEVEL=0 shows
# them. JAX sets it to 1 if imported first.
if os.environ.get('TF_CPP_MIN_LOG_LEVEL', '1') == '1':
  os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'

from inception.errors import standard_error_closed

# TensorFlow's C++ code prints a page of messages before it reads any setting.
with standard_error_closed():
  import tensorflow as tf
  import tensorflow_datasets as tfds
  from tensorflow_datasets.core.download import downloader

for _kind in ('GPU', 'TPU'):
  tf.config.set_visible_devices([], _kind)

__all__ = ['downloader', 'litert_schema', 'tf', 'tfds']


def litert_schema() -> Any:
  """Returns the module that reads and writes the parts of LiteRT files."""
  from tensorflow.lite.python import schema_py_generated

  return schema_py_generated

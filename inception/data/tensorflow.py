"""TensorFlow and TFDS for the host pipeline: quiet, and without accelerators.

TensorFlow reads and decodes here, nothing else. Left alone it would take the
memory of every GPU it sees, and it writes a page to standard error when it is
imported, from C++ and before any setting of its own is read.
"""

from collections.abc import Iterator
import contextlib
import os
import sys


@contextlib.contextmanager
def _standard_error_closed() -> Iterator[None]:
  sys.stderr.flush()
  kept = os.dup(2)
  nowhere = os.open(os.devnull, os.O_WRONLY)
  os.dup2(nowhere, 2)
  try:
    yield
  finally:
    os.dup2(kept, 2)
    os.close(kept)
    os.close(nowhere)


os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
with _standard_error_closed():
  import tensorflow as tf
  import tensorflow_datasets as tfds

  for _kind in ('GPU', 'TPU'):
    tf.config.set_visible_devices([], _kind)

__all__ = ['tf', 'tfds']

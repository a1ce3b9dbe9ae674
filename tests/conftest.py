"""Four simulated devices, a small network, and data that the tests share."""

import os
import tempfile

# Before JAX and TFDS are imported, which read these once. Each worker process
# has folders of its own: JAX does not write to its cache atomically.
_CACHE = tempfile.mkdtemp(prefix='inception-tests-')
os.environ['XLA_FLAGS'] = '--xla_force_host_platform_device_count=4'
os.environ['JAX_PLATFORMS'] = 'cpu'
os.environ['JAX_COMPILATION_CACHE_DIR'] = os.path.join(_CACHE, 'jax')
# Tests compile the same small programs again and again.
os.environ['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0'
os.environ['TFDS_DATA_DIR'] = os.path.join(_CACHE, 'tfds')

import atexit
import shutil

from ml_collections import ConfigDict
import numpy as np
from PIL import Image
import pytest

from inception.data import batches
from tests import tiny

atexit.register(shutil.rmtree, _CACHE, ignore_errors=True)

# The graph of the host pipeline grows with the images per call, and every test
# that trains builds one.
batches._CHUNK = 4


@pytest.fixture
def config() -> ConfigDict:
  """See `tiny.get_config`."""
  return tiny.get_config()


@pytest.fixture
def image_folder(tmp_path):
  """A folder of images: 13 in two classes in each of 'train' and 'val'."""
  generator = np.random.default_rng(0)
  root = tmp_path / 'images'
  for split in ('train', 'val'):
    for name, count in (('cat', 6), ('dog', 7)):
      folder = root / split / name
      folder.mkdir(parents=True)
      for i in range(count):
        pixels = generator.integers(0, 256, (20 + i, 30, 3), np.uint8)
        suffix = 'jpg' if i % 2 else 'png'
        Image.fromarray(pixels).save(folder / f'{i}.{suffix}')
  return root

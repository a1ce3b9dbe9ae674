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

from configs import digits as digits_config
from inception import architectures
from inception.data import batches
from inception.spec.vocabulary import (
  Architecture,
  AuxHead,
  AvgPool,
  Chain,
  Concat,
  Conv,
  MaxPool,
  Stage,
)

atexit.register(shutil.rmtree, _CACHE, ignore_errors=True)

# Every part of a real network, small enough to compile in seconds.
TINY = Architecture(
  input_size=16,
  stages=(
    Stage('Conv2d_1a_3x3', Conv(8, 3, stride=2)),
    Stage('Mixed_2b', Concat(Conv(8), Chain(MaxPool(3), Conv(8, 3)))),
  ),
  dropout=0.2,
  aux_heads=(
    AuxHead(
      'AuxLogits_2b',
      'Mixed_2b',
      Chain(AvgPool(5, stride=3, padding='VALID'), Conv(8)),
      hidden=8,
      dropout=0.5,
    ),
  ),
)


architectures.ARCHITECTURES['tiny'] = TINY


# The graph of the host pipeline grows with the images per call, and every test
# that trains builds one.
batches._CHUNK = 4


def make_config() -> ConfigDict:
  """A run of the tiny network on digits: 16 images per step, 6 steps."""
  config = digits_config.get_config()
  config.model.architecture = 'tiny'
  config.model.width = 1.0
  config.data.image_size = 16
  config.batch_size = 16
  config.num_steps = 6
  config.data.eval_split = 'test[:40]'
  config.log_every_steps = 2
  config.eval_every_epochs = 1000.0
  config.checkpoint_every_epochs = 1000.0
  return config


@pytest.fixture
def config() -> ConfigDict:
  """See `make_config`."""
  return make_config()


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

"""Shared fixtures: a small network, images, a `python` that starts fast."""

import contextlib
import io

import jax
from ml_collections import ConfigDict
import numpy as np
from PIL import Image
import pytest

from inception.data import batches
from inception.training import loop
from tests import programs, runs, tiny, warm

# The graph of the host pipeline grows with the images per call, and every test
# that trains builds one.
batches._CHUNK = 1
programs.share()


@pytest.fixture
def config() -> ConfigDict:
  """See `tiny.get_config`."""
  return tiny.get_config()


@pytest.fixture(scope='session')
def finished(tmp_path_factory) -> runs.Finished:
  """A finished run of `config` on one device. Tests only read it."""
  workdir = tmp_path_factory.mktemp('finished')
  printed = io.StringIO()
  with contextlib.redirect_stdout(printed):
    state = loop.train(tiny.get_config(), workdir, runs.ONE)
  return runs.Finished(workdir, jax.device_get(state), printed.getvalue())


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


@pytest.fixture(scope='session')
def python() -> str:
  """The path of a `python` that starts fast; see `tests.warm`."""
  return warm.python()


@pytest.fixture
def own_programs(monkeypatch):
  """Turns sharing off, for tests of how programs are made."""
  monkeypatch.setattr(programs, 'shared', False)

"""Several processes, each with some of the images, compute the same values."""

import json
import subprocess

import jax
import numpy as np
import pytest

from inception.generative import generator_images
from inception.generative.collector import Collector
from inception.generative.generator_images import LocalBatch
from tests import waiting, warm
from tests.generative.cheap import (
  EXTRACTOR,
  IMAGES,
  SHAPE,
  assert_expected,
  features_of,
)


@pytest.fixture
def in_two_processes(python, tmp_path):
  """Returns a function to what each process computes; see processes.py."""
  del python

  def run(form):
    coordinator = f'localhost:{waiting.free_port()}'
    started = [
      subprocess.Popen(
        [
          *(warm.python(), '-m', 'tests.generative.processes'),
          *(coordinator, '2', str(index), form, str(tmp_path)),
        ],
        cwd=warm.ROOT,
        env=waiting.environment(devices=2),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
      )
      for index in range(2)
    ]
    for code, _, err in waiting.finish(started):
      assert code == 0, err
    return [
      json.loads((tmp_path / f'{index}.json').read_text()) for index in range(2)
    ]

  return run


@pytest.mark.parametrize('form', ['host', 'mapped', 'sharded'])
def test_two_processes_compute_the_same(in_two_processes, form):
  for found in in_two_processes(form):
    assert_expected(found)


@pytest.mark.parametrize(
  ('form', 'message'),
  [('uneven', 'number of images differs'), ('spoiled', 'hold NaN')],
)
def test_what_is_wrong_in_one_process_is_an_error_in_both(
  in_two_processes, form, message
):
  for error in in_two_processes(form):
    assert message in error


def test_a_mesh_may_have_the_devices_in_another_order(monkeypatch):
  mesh = jax.sharding.Mesh(np.array(jax.devices()[::-1]), ('batch',))
  images = jax.device_put(IMAGES[:56], jax.NamedSharding(mesh, jax.P('batch')))
  # Splitting would copy the images to the host.
  monkeypatch.setattr(generator_images, 'split_rows', None)
  batch = generator_images._of_all_processes(images, jax.local_devices())
  for i, device in enumerate(jax.local_devices()):
    (shard,) = (
      x for x in batch.images.addressable_shards if x.device == device
    )
    expected = IMAGES[batch.rows[i]]
    np.testing.assert_array_equal(np.asarray(shard.data)[0], expected)


def test_a_process_takes_its_share_of_images_on_disk():
  """Rows are those of all images, so their order is known at the end."""
  collector = Collector(EXTRACTOR, keep=['features'])
  rows = np.array([[4], [0], [2], [6]])
  images = IMAGES[[4, 0, 2, 6]].reshape(4, 1, *SHAPE)
  collector.take(LocalBatch(images, rows, 0))
  features = collector.sample().features
  np.testing.assert_allclose(features, features_of(IMAGES[:7:2]), atol=1e-5)

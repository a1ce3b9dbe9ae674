"""Host pipeline: order, resuming, sharding, crops, evaluation, fake data."""

import dataclasses
import itertools

import jax
import numpy as np
from PIL import Image
import pytest

from inception.data import batches as module
from inception.data import pipeline
from inception.data.device import feed
from inception.data.sources import catalog
from inception.data.sources.source import Source
from inception.data.tensorflow import tf


@pytest.fixture
def numbers():
  """13 examples whose label is their index, each with its own picture."""

  def encode(index):
    image = tf.fill([12, 10, 3], tf.cast(index * 15, tf.uint8))
    return tf.io.encode_png(image)

  def load(indices):
    return tf.map_fn(encode, indices, tf.string), indices

  return make_source(load, 13, 13)


def make_source(load, count, classes):
  return Source(
    name='numbers',
    num_examples=count,
    classes=('',) * classes,
    load=load,
    read=lambda index: b'',
    describe=lambda index: f'no. {index}',
    digest='',
    ranges=(),
  )


def labels(batches, count):
  return [b['label'].ravel() for b in itertools.islice(batches, count)]


def test_every_epoch_has_every_example_once_in_a_new_order(config, numbers):
  shard = pipeline.HostShard(4, 1)
  batches = pipeline.train_batches(numbers, config.data, shard, 7, 0)
  stream = np.concatenate(labels(batches, 13))
  epochs = stream.reshape(4, 13)
  for epoch in epochs:
    assert sorted(epoch) == list(range(13))
  assert len({tuple(epoch) for epoch in epochs}) == 4
  other = pipeline.train_batches(numbers, config.data, shard, 8, 0)
  assert not np.array_equal(stream, np.concatenate(labels(other, 13)))


def test_a_resumed_stream_is_the_rest_of_the_unbroken_one(config, numbers):
  config.data.crop_area = (0.1, 0.9)
  shard = pipeline.HostShard(4, 2)

  def stream(first_step, count):
    batches = pipeline.train_batches(numbers, config.data, shard, 7, first_step)
    return list(itertools.islice(batches, count))

  whole = stream(0, 12)
  for first_step in (1, 3, 7):
    for wanted, batch in zip(whole[first_step:], stream(first_step, 5)):
      np.testing.assert_array_equal(wanted['label'], batch['label'])
      np.testing.assert_array_equal(wanted['image'], batch['image'])


def test_processes_together_read_what_one_process_reads(config, numbers):
  alone = pipeline.train_batches(
    numbers, config.data, pipeline.HostShard(8, 1), 7, 2
  )
  four = [
    labels(
      pipeline.train_batches(
        numbers, config.data, pipeline.HostShard(8, 1, process, 4), 7, 2
      ),
      6,
    )
    for process in range(4)
  ]
  for step, wanted in enumerate(labels(alone, 6)):
    parts = [of_process[step] for of_process in four]
    np.testing.assert_array_equal(np.concatenate(parts), wanted)


@pytest.mark.parametrize('batch_size, processes', [(1, 1), (4, 1), (20, 2)])
def test_evaluation_covers_every_example_once(
  config, numbers, batch_size, processes
):
  seen = []
  for process in range(processes):
    shard = pipeline.HostShard(batch_size, 1, process, processes)
    for batch in pipeline.eval_batches(numbers, config.data, shard):
      assert batch['label'].shape == (1, batch_size // processes)
      seen += list(batch['label'][batch['mask'] == 1])
  assert sorted(seen) == list(range(13))


def test_evaluation_starts_over_and_builds_its_graph_once(config, numbers):
  traces = []

  def load(indices):
    traces.append(indices)
    return numbers.load(indices)

  source = dataclasses.replace(numbers, load=load)
  batches = pipeline.eval_batches(source, config.data, pipeline.HostShard(4, 2))
  assert not traces  # The graph is built on first use.
  next(iter(batches))  # Abandoned early.
  built = len(traces)
  assert built >= 1
  first, second = list(batches), list(batches)
  assert len(traces) == built
  assert len(first) == len(second) == 4
  for a, b in zip(first, second):
    for name in ('image', 'label', 'mask'):
      np.testing.assert_array_equal(a[name], b[name])


def test_batches_are_split_over_the_devices(config, numbers):
  shard = pipeline.HostShard(8, 4)
  batches = pipeline.train_batches(numbers, config.data, shard, 7, 0)
  batch = next(feed.prefetch(batches, jax.devices()))
  assert batch['image'].shape == (4, 2, 16, 16, 3)
  assert batch['image'].dtype == np.uint8
  assert len(batch['image'].addressable_shards) == 4


@pytest.fixture
def photograph(tmp_path):
  """Horizontal and vertical ramps, 40 x 60, encoded as JPEG and as PNG."""
  rows, columns = np.mgrid[0:40, 0:60]
  pixels = np.stack([rows * 6, columns * 4, np.full((40, 60), 99)], -1)
  image = Image.fromarray(pixels.astype(np.uint8))
  paths = [tmp_path / 'ramp.jpg', tmp_path / 'ramp.png']
  image.save(paths[0], quality=95, subsampling=0)
  image.save(paths[1])
  return pixels, [path.read_bytes() for path in paths]


def source_of(encoded, count=1):
  return make_source(
    lambda i: (tf.fill(tf.shape(i), encoded), i * 0), count, classes=1
  )


@pytest.mark.parametrize('fraction, top, left', [(1.0, 0, 0), (0.5, 10, 15)])
def test_evaluation_crops_the_center(config, photograph, fraction, top, left):
  pixels, encodings = photograph
  config.data.crop_pct = fraction
  config.data.image_size = 20
  for encoded in encodings:
    batches = pipeline.eval_batches(
      source_of(encoded), config.data, pipeline.HostShard(1, 1)
    )
    image = next(iter(batches))['image'][0, 0].astype(int)
    window = pixels[top : 40 - top, left : 60 - left]
    height, width = window.shape[:2]
    # A bilinear resize of a ramp is a ramp, sampled at (i + 1/2) * s - 1/2.
    rows = np.clip((np.arange(20) + 0.5) * height / 20 - 0.5, 0, height - 1)
    columns = np.clip((np.arange(20) + 0.5) * width / 20 - 0.5, 0, width - 1)
    np.testing.assert_allclose(
      image[:, 10, 0], window[0, 0, 0] + 6 * rows, atol=3
    )
    np.testing.assert_allclose(
      image[10, :, 1], window[0, 0, 1] + 4 * columns, atol=3
    )


def test_training_crops_have_the_area_and_aspect_of_the_config(
  config, photograph, monkeypatch
):
  monkeypatch.setattr(module, '_CHUNK', 5)  # A small graph.
  _, encodings = photograph
  config.data.image_size = 16
  config.data.crop_area = (0.2, 0.5)
  batches = pipeline.train_batches(
    source_of(encodings[1], 200), config.data, pipeline.HostShard(100, 1), 0, 0
  )
  images = next(batches)['image'][0].astype(float)
  # The ramps show where a crop begins and ends, half a sample inside.
  heights = (images[:, -1, 8, 0] - images[:, 0, 8, 0]) / 6 * 16 / 15
  widths = (images[:, 8, -1, 1] - images[:, 8, 0, 1]) / 4 * 16 / 15
  area, aspect = heights * widths / 2400, widths / heights
  assert 0.17 < area.min() < 0.25 and 0.4 < area.max() < 0.54
  assert 0.68 < aspect.min() < 0.85 and 1.2 < aspect.max() < 1.45


def test_a_gray_image_becomes_three_equal_channels(config):
  gray = tf.io.encode_png(tf.constant([[[0], [100]], [[200], [255]]], tf.uint8))
  batches = pipeline.eval_batches(
    source_of(gray.numpy()), config.data, pipeline.HostShard(1, 1)
  )
  image = next(iter(batches))['image'][0, 0]
  np.testing.assert_array_equal(image[..., 0], image[..., 2])
  assert image[0, 0, 0] == 0 and image[-1, -1, 0] == 255


def test_threads_do_not_change_the_stream(config, numbers, monkeypatch):
  config.data.crop_area = (0.1, 0.9)
  streams = []
  for threads in (1, 7):
    monkeypatch.setattr(module, '_PARALLEL_CALLS', threads)
    batches = pipeline.train_batches(
      numbers, config.data, pipeline.HostShard(35, 1), 7, 0
    )
    streams.append([b['image'] for b in itertools.islice(batches, 4)])
  np.testing.assert_array_equal(*streams)


def test_chunks_do_not_change_the_stream(config, numbers, monkeypatch):
  streams = []
  for chunk in (1, 2, 32):
    monkeypatch.setattr(module, '_CHUNK', chunk)
    batches = pipeline.train_batches(
      numbers, config.data, pipeline.HostShard(4, 2), 7, 1
    )
    streams.append([b['image'] for b in itertools.islice(batches, 3)])
  np.testing.assert_array_equal(streams[0], streams[1])
  np.testing.assert_array_equal(streams[0], streams[2])


def test_fake_data_is_the_same_batch_at_every_step(config):
  config.data.dataset = 'fake'
  source = catalog.open_source(config.data, 'train')
  shard = pipeline.HostShard(4, 2)
  batches = pipeline.train_batches(source, config.data, shard, 0, 5)
  first, second = next(batches), next(batches)
  assert first['image'] is second['image']
  assert first['image'].shape == (2, 2, 16, 16, 3)
  source = dataclasses.replace(source, num_examples=10)
  evaluation = list(pipeline.eval_batches(source, config.data, shard))
  assert len(evaluation) == 3
  np.testing.assert_array_equal(evaluation[0]['image'], first['image'])
  np.testing.assert_array_equal(evaluation[0]['mask'], np.ones((2, 2)))

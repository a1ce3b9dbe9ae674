"""Order, resuming, sharing between processes, crops, broken images."""

import io
import itertools

import jax
import numpy as np
from PIL import Image
import pytest

from inception.data import datasets, device, images, pipeline
from inception.data.tensorflow import tf
from inception.errors import UserError


@pytest.fixture
def numbers():
  """13 examples whose label is their index, with a picture each."""

  def encode(index):
    image = tf.fill([12, 10, 3], tf.cast(index * 15, tf.uint8))
    return tf.io.encode_png(image)

  def load(indices):
    return tf.map_fn(encode, indices, tf.string), indices

  return datasets.Source('numbers', 13, ('',) * 13, load, lambda i: f'no. {i}')


def labels(batches, count):
  return [b['label'].ravel() for b in itertools.islice(batches, count)]


def test_every_example_comes_once_an_epoch_in_another_order(config, numbers):
  share = pipeline.Share(4, 1)
  batches = pipeline.train_batches(numbers, config.data, share, 7, 0)
  stream = np.concatenate(labels(batches, 13))
  epochs = stream.reshape(4, 13)
  for epoch in epochs:
    assert sorted(epoch) == list(range(13))
  assert len({tuple(epoch) for epoch in epochs}) == 4
  other = pipeline.train_batches(numbers, config.data, share, 8, 0)
  assert not np.array_equal(stream, np.concatenate(labels(other, 13)))


@pytest.mark.parametrize('first_step', [1, 3, 7])
def test_a_resumed_stream_is_the_rest_of_the_unbroken_one(
  config, numbers, first_step
):
  config.data.crop_area = (0.1, 0.9)
  share = pipeline.Share(4, 2)
  whole = pipeline.train_batches(numbers, config.data, share, 7, 0)
  rest = pipeline.train_batches(numbers, config.data, share, 7, first_step)
  for wanted, batch in itertools.islice(
    zip(itertools.islice(whole, first_step, None), rest), 5
  ):
    np.testing.assert_array_equal(wanted['label'], batch['label'])
    np.testing.assert_array_equal(wanted['image'], batch['image'])


def test_processes_together_read_what_one_reads(config, numbers):
  alone = pipeline.train_batches(
    numbers, config.data, pipeline.Share(8, 1), 7, 2
  )
  four = [
    labels(
      pipeline.train_batches(
        numbers, config.data, pipeline.Share(8, 1, process, 4), 7, 2
      ),
      6,
    )
    for process in range(4)
  ]
  for step, wanted in enumerate(labels(alone, 6)):
    parts = [shares[step] for shares in four]
    np.testing.assert_array_equal(np.concatenate(parts), wanted)


@pytest.mark.parametrize('batch_size, processes', [(1, 1), (4, 1), (20, 2)])
def test_evaluation_covers_every_example_once(
  config, numbers, batch_size, processes
):
  seen = []
  for process in range(processes):
    share = pipeline.Share(batch_size, 1, process, processes)
    for batch in pipeline.eval_batches(numbers, config.data, share):
      assert batch['label'].shape == (1, batch_size // processes)
      seen += list(batch['label'][batch['mask'] == 1])
  assert sorted(seen) == list(range(13))


def test_batches_are_split_over_the_devices(config, numbers):
  share = pipeline.Share(8, 4)
  batches = pipeline.train_batches(numbers, config.data, share, 7, 0)
  batch = next(device.prefetch(batches, jax.devices()))
  assert batch['image'].shape == (4, 2, 16, 16, 3)
  assert batch['image'].dtype == np.uint8
  assert len(batch['image'].addressable_shards) == 4


def test_prefetch_hands_over_all_batches_in_order():
  batches = ({'x': np.full((2, 1), i)} for i in range(5))
  fetched = device.prefetch(batches, jax.devices()[:2])
  assert [int(batch['x'][0, 0]) for batch in fetched] == list(range(5))


@pytest.fixture
def photograph(tmp_path):
  """Encoded as JPEG and as PNG: horizontal and vertical ramps, 40 x 60."""
  rows, columns = np.mgrid[0:40, 0:60]
  pixels = np.stack([rows * 6, columns * 4, np.full((40, 60), 99)], -1)
  image = Image.fromarray(pixels.astype(np.uint8))
  paths = [tmp_path / 'ramp.jpg', tmp_path / 'ramp.png']
  image.save(paths[0], quality=95, subsampling=0)
  image.save(paths[1])
  return pixels, [path.read_bytes() for path in paths]


def source_of(encoded, count=1):
  return datasets.Source(
    'one', count, ('',), lambda i: (tf.fill(tf.shape(i), encoded), i * 0), str
  )


@pytest.mark.parametrize('fraction, top, left', [(1.0, 0, 0), (0.5, 10, 15)])
def test_evaluation_crops_the_centre(config, photograph, fraction, top, left):
  pixels, encodings = photograph
  config.data.eval_crop = fraction
  config.data.image_size = 20
  for encoded in encodings:
    batches = pipeline.eval_batches(
      source_of(encoded), config.data, pipeline.Share(1, 1)
    )
    image = next(batches)['image'][0, 0].astype(int)
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
  config, photograph
):
  pixels, encodings = photograph
  config.data.image_size = 16
  config.data.crop_area = (0.2, 0.5)
  batches = pipeline.train_batches(
    source_of(encodings[1], 200), config.data, pipeline.Share(100, 1), 0, 0
  )
  images = next(batches)['image'][0].astype(float)
  # The ramps tell where a crop begins and ends; ends are half a sample inside.
  heights = (images[:, -1, 8, 0] - images[:, 0, 8, 0]) / 6 * 16 / 15
  widths = (images[:, 8, -1, 1] - images[:, 8, 0, 1]) / 4 * 16 / 15
  area, aspect = heights * widths / 2400, widths / heights
  assert 0.17 < area.min() < 0.25 and 0.4 < area.max() < 0.54
  assert 0.68 < aspect.min() < 0.85 and 1.2 < aspect.max() < 1.45


def test_a_grey_image_becomes_three_equal_channels(config):
  grey = tf.io.encode_png(tf.constant([[[0], [100]], [[200], [255]]], tf.uint8))
  batches = pipeline.eval_batches(
    source_of(grey.numpy()), config.data, pipeline.Share(1, 1)
  )
  image = next(batches)['image'][0, 0]
  np.testing.assert_array_equal(image[..., 0], image[..., 2])
  assert image[0, 0, 0] == 0 and image[-1, -1, 0] == 255


@pytest.fixture
def broken_source(config, image_folder):
  """13 images of which two are cut short, a JPEG and a PNG."""
  dogs = image_folder / 'train' / 'dog'
  (dogs / '1.jpg').write_bytes((dogs / '1.jpg').read_bytes()[:100])
  (dogs / '2.png').write_bytes((dogs / '2.png').read_bytes()[:30])
  config.data.dataset, config.data.data_dir = 'folder', str(image_folder)
  return datasets.open_source(config.data, 'train')


def test_broken_images_are_named_and_refused(config, broken_source):
  share = pipeline.Share(13, 1)
  batches = pipeline.train_batches(broken_source, config.data, share, 0, 0)
  with pytest.raises(UserError, match='dog/.* is broken; that makes 1 of 13'):
    next(batches)
  batches = pipeline.eval_batches(broken_source, config.data, share)
  with pytest.raises(
    UserError, match='dog/.* is broken; evaluation is of every'
  ):
    next(batches)
  config.data.max_broken = 0.1
  batches = pipeline.train_batches(broken_source, config.data, share, 0, 0)
  with pytest.raises(UserError, match='2 of 13 .*data.max_broken=0.1'):
    next(batches)


def test_the_next_good_image_stands_in_for_a_broken_one(
  config, broken_source, capsys
):
  config.data.max_broken = 0.2

  def stream(batch_size, first_step, count):
    batches = pipeline.train_batches(
      broken_source,
      config.data,
      pipeline.Share(batch_size, 1),
      seed=3,
      first_step=first_step,
    )
    return np.concatenate(
      [b['image'][0] for b in itertools.islice(batches, count)]
    )

  whole = stream(13, 0, 4)
  said = capsys.readouterr().err
  assert said.count('warning:') == 2
  assert 'dog/1.jpg is broken' in said and '(2 of 13)' in said
  # The same whatever the batches and where a run resumes.
  np.testing.assert_array_equal(whole, stream(4, 0, 13))
  np.testing.assert_array_equal(whole[26:], stream(13, 2, 2))


@pytest.mark.parametrize('cache_bytes', [0, 10**6])
def test_a_file_that_is_gone_is_a_broken_image(
  config, image_folder, cache_bytes, capsys
):
  config.data.dataset, config.data.data_dir = 'folder', str(image_folder)
  config.data.cache_bytes, config.data.max_broken = cache_bytes, 0.2
  source = datasets.open_source(config.data, 'train')
  (image_folder / 'train' / 'cat' / '0.png').unlink()
  batches = pipeline.train_batches(
    source, config.data, pipeline.Share(13, 1), 0, 0
  )
  assert next(batches)['image'].shape == (1, 13, 16, 16, 3)
  assert 'cat/0.png is broken' in capsys.readouterr().err


def test_a_png_among_jpegs_is_not_broken(config, image_folder, capsys):
  for path in (image_folder / 'train').rglob('*.png'):
    path.rename(path.with_suffix('.JPEG'))  # As one of ImageNet's.
  config.data.dataset, config.data.data_dir = 'folder', str(image_folder)
  source = datasets.open_source(config.data, 'train')
  assert source.jpeg
  batches = pipeline.train_batches(
    source, config.data, pipeline.Share(13, 1), 0, 0
  )
  assert sorted(next(batches)['label'][0]) == [0] * 6 + [1] * 7
  assert 'broken' not in capsys.readouterr().err


def test_threads_do_not_change_the_stream(config, numbers, monkeypatch):
  config.data.crop_area = (0.1, 0.9)
  streams = []
  for threads in (1, 7):
    monkeypatch.setattr(pipeline, '_PARALLEL_CALLS', threads)
    batches = pipeline.train_batches(
      numbers, config.data, pipeline.Share(35, 1), 7, 0
    )
    streams.append([b['image'] for b in itertools.islice(batches, 4)])
  np.testing.assert_array_equal(*streams)


def test_chunks_do_not_change_the_stream(config, numbers, monkeypatch):
  streams = []
  for chunk in (1, 5, 32):
    monkeypatch.setattr(pipeline, '_CHUNK', chunk)
    batches = pipeline.train_batches(
      numbers, config.data, pipeline.Share(10, 2), 7, 1
    )
    streams.append([b['image'] for b in itertools.islice(batches, 3)])
  np.testing.assert_array_equal(streams[0], streams[1])
  np.testing.assert_array_equal(streams[0], streams[2])


@pytest.mark.parametrize('shrink', [1, 2, 4, 8])
def test_large_jpegs_are_decoded_smaller(config, shrink):
  """The scaled decoding shows the same window as a whole one, averaged."""
  config.data.image_size = 32
  config.data.crop_area, config.data.crop_aspect = (1.0, 1.0), (1.0, 1.0)
  side = 32 * shrink + 5
  rows, columns = np.mgrid[0:side, 0:side] * (200 / side)
  pixels = np.stack([rows, columns, np.full((side, side), 99)], -1)
  buffer = io.BytesIO()
  Image.fromarray(pixels.astype(np.uint8)).save(buffer, 'JPEG', quality=95)
  encoded = tf.constant(buffer.getvalue())
  seed = tf.constant([0, 0], tf.int64)
  for jpeg in (True, False):
    (window,) = images.random_windows([encoded], [seed], config.data, jpeg)
    assert 32 <= min(window.shape[:2]) <= 32 + 5
  (square,) = images.resize_windows(32, window.numpy())
  wanted = np.asarray(
    Image.fromarray(pixels.astype(np.uint8)).resize(
      (32, 32), Image.Resampling.BOX
    )
  )
  assert np.abs(square.astype(int) - wanted).mean() < 2


def test_fake_data_is_one_batch_over_and_over(config):
  config.data.dataset = 'fake'
  source = datasets.open_source(config.data, 'train')
  share = pipeline.Share(4, 2)
  batches = pipeline.train_batches(source, config.data, share, 0, 5)
  first, second = next(batches), next(batches)
  assert first['image'] is second['image']
  assert first['image'].shape == (2, 2, 16, 16, 3)

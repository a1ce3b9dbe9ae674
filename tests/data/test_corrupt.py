"""Corrupt images are reported, refused, or replaced deterministically."""

import dataclasses
import itertools

import numpy as np
import pytest

from inception.data import pipeline
from inception.data.sources import catalog
from inception.errors import UserError
from inception.files import retry


@pytest.fixture
def corrupt_source(config, image_folder):
  """13 images of which two are truncated, a JPEG and a PNG."""
  dogs = image_folder / 'train' / 'dog'
  (dogs / '1.jpg').write_bytes((dogs / '1.jpg').read_bytes()[:100])
  (dogs / '2.png').write_bytes((dogs / '2.png').read_bytes()[:30])
  config.data.dataset, config.data.data_dir = 'folder', str(image_folder)
  return catalog.open_source(config.data, 'train')


def first_batch(source, config):
  shard = pipeline.HostShard(13, 1)
  return next(pipeline.train_batches(source, config.data, shard, 0, 0))


def test_training_refuses_more_than_the_config_allows(config, corrupt_source):
  with pytest.raises(UserError, match='dog/.* 1 of 13'):
    first_batch(corrupt_source, config)
  config.data.max_broken = 0.1
  with pytest.raises(UserError, match='2 of 13 .*data.max_broken=0.1'):
    first_batch(corrupt_source, config)


def test_every_evaluation_refuses_corrupt_images(config, corrupt_source):
  config.data.max_broken = 0.5
  batches = pipeline.eval_batches(
    corrupt_source, config.data, pipeline.HostShard(13, 1)
  )
  for _ in range(2):
    with pytest.raises(UserError, match='dog/.* corrupt'):
      next(iter(batches))


def test_the_next_good_image_replaces_a_corrupt_one(
  config, corrupt_source, capsys
):
  config.data.max_broken = 0.2

  def stream(batch_size, first_step, count):
    batches = pipeline.train_batches(
      corrupt_source,
      config.data,
      pipeline.HostShard(batch_size, 1),
      seed=3,
      first_step=first_step,
    )
    return np.concatenate(
      [b['image'][0] for b in itertools.islice(batches, count)]
    )

  whole = stream(13, 0, 4)
  output = capsys.readouterr().err
  assert output.count('warning:') == 2
  assert 'dog/1.jpg is corrupt' in output and '(2 of 13)' in output
  # Independent of the batch size and of where a run resumes.
  np.testing.assert_array_equal(whole, stream(4, 0, 13))
  np.testing.assert_array_equal(whole[26:], stream(13, 2, 2))


@pytest.mark.parametrize('cache_bytes', [0, 10**6])
def test_reading_a_file_that_cannot_be_read_is_retried(
  config, image_folder, cache_bytes, capsys, monkeypatch
):
  config.data.dataset, config.data.data_dir = 'folder', str(image_folder)
  config.data.cache_bytes, config.data.max_broken = cache_bytes, 0.9
  config.data.retry_seconds = 0.35
  source = catalog.open_source(config.data, 'train')
  path = image_folder / 'train' / 'cat' / '0.png'
  path.rename(path.with_suffix('.away'))
  # max_broken does not matter: an unreadable file is not a corrupt image.
  with pytest.raises(UserError, match=r'cat/0.png: No such file.*0.35 s'):
    first_batch(source, config)
  assert capsys.readouterr().err.count('trying again') == 1

  def come_back(seconds):
    path.with_suffix('.away').rename(path)

  monkeypatch.setattr(retry.time, 'sleep', come_back)
  assert first_batch(source, config)['image'].shape == (1, 13, 16, 16, 3)


def test_a_record_that_does_not_match_its_checksum_is_corrupt(
  config, tmp_path, capsys
):
  """A flipped bit in a label would silently change the result."""
  config.data.dataset, config.data.data_dir = 'digits', str(tmp_path)
  catalog.open_source(config.data, 'train')  # Builds it.
  (path,) = tmp_path.rglob('*-test.tfrecord*')
  content = bytearray(path.read_bytes())
  content[content.index(b'label') + 12] ^= 1
  path.write_bytes(bytes(content))
  source = catalog.open_source(config.data, 'test[:13]')
  with pytest.raises(UserError, match='at byte .*checksum'):
    first_batch(source, config)
  config.data.max_broken = 0.1
  assert first_batch(source, config)['label'].shape == (1, 13)


def test_a_label_without_a_class_is_corrupt(config, image_folder):
  config.data.dataset, config.data.data_dir = 'folder', str(image_folder)
  source = catalog.open_source(config.data, 'train')
  source = dataclasses.replace(source, classes=('cat',))
  with pytest.raises(UserError, match='label 1 '):
    first_batch(source, config)


def test_a_png_among_jpegs_is_not_corrupt(config, image_folder, capsys):
  config.data.dataset, config.data.data_dir = 'folder', str(image_folder)
  source = catalog.open_source(config.data, 'train')
  source = dataclasses.replace(source, jpeg=True)  # ImageNet has one PNG.
  labels = first_batch(source, config)['label'][0]
  assert sorted(labels) == [0] * 6 + [1] * 7
  assert 'corrupt' not in capsys.readouterr().err

"""Data sets by name: digits, records, folders; what is refused and how."""

import numpy as np
import pytest
from sklearn import datasets as sklearn_datasets

from inception.data import datasets, digits, records
from inception.data.tensorflow import tf, tfds
from inception.errors import UserError


def test_digits_are_scikit_learns_every_fifth_held_out(config):
  train = datasets.open_source(config.data, 'train')
  test = datasets.open_source(config.data, 'test')
  assert (train.num_examples, test.num_examples) == (1437, 360)
  assert train.classes == tuple('0123456789')
  originals = sklearn_datasets.load_digits()
  wanted = sorted(
    (np.round(image * 255 / 16).astype(np.uint8).tobytes(), int(label))
    for image, label in zip(originals.images[::5], originals.target[::5])
  )
  loaded = [
    (tf.io.decode_png(encoded).numpy().tobytes(), int(label))
    for encoded, label in zip(*test.load(tf.range(360, dtype=tf.int64)))
  ]
  assert sorted(loaded) == wanted


def test_slices_of_splits(config):
  sizes = {
    split: datasets.open_source(config.data, split).num_examples
    for split in ('train[:50%]', 'train[10:20]+test[350:]', 'test[-7:]')
  }
  assert list(sizes.values()) == [718, 20, 7]


def test_a_slice_holds_the_examples_of_its_place(config):
  whole = datasets.open_source(config.data, 'test')
  part = datasets.open_source(config.data, 'test[100:103]')
  a = whole.load(tf.constant([100, 101, 102], tf.int64))
  b = part.load(tf.constant([0, 1, 2], tf.int64))
  for x, y in zip(a, b):
    np.testing.assert_array_equal(x, y)


def test_slices_cross_the_files_of_a_data_set(config, tmp_path):
  builder = digits.Digits(data_dir=tmp_path)
  builder.download_and_prepare(
    download_config=tfds.download.DownloadConfig(num_shards=3)
  )
  assert builder.info.splits['test'].num_shards == 3
  config.data.data_dir = str(tmp_path)
  whole = datasets.open_source(config.data, 'test')
  part = datasets.open_source(config.data, 'test[100:300]')
  assert part.num_examples == 200
  places = tf.constant([0, 20, 100, 199], tf.int64)
  np.testing.assert_array_equal(
    part.load(places)[0], whole.load(100 + places)[0]
  )


def test_records_of_several_files_and_skips(tmp_path):
  paths = []
  for name in 'ab':
    path = str(tmp_path / name)
    with tf.io.TFRecordWriter(path) as writer:
      for i in range(5):
        writer.write(f'{name}{i}'.encode() * (i + 1))
    paths.append(path)
  index = records.index_records(
    [
      records.FileSlice(paths[0], 3, 2),
      records.FileSlice(paths[1], 0, 1),
    ]
  )
  assert [index.read(i) for i in range(len(index))] == [
    b'a3' * 4,
    b'a4' * 5,
    b'b0',
  ]
  assert index.describe(2).startswith(paths[1])


@pytest.mark.parametrize('cut', [1, 10, 25])
def test_a_file_that_was_cut_short_is_named(tmp_path, cut):
  path = tmp_path / 'data.tfrecord'
  with tf.io.TFRecordWriter(str(path)) as writer:
    for _ in range(3):
      writer.write(b'0123456789')
  path.write_bytes(path.read_bytes()[:-cut])
  with pytest.raises(UserError, match='data.tfrecord is damaged or cut short'):
    records.index_records([records.FileSlice(str(path), 0, 3)])


def test_a_missing_file_is_named(tmp_path):
  with pytest.raises(UserError, match='cannot read .*gone'):
    records.index_records([records.FileSlice(str(tmp_path / 'gone'), 0, 1)])


def open_folder(config, root, split='train'):
  config.data.dataset = 'folder'
  config.data.data_dir = str(root)
  return datasets.open_source(config.data, split)


def test_folder_labels_are_the_places_of_class_names(config, image_folder):
  source = open_folder(config, image_folder)
  assert source.classes == ('cat', 'dog') and source.num_examples == 13
  labels = source.load(tf.range(13, dtype=tf.int64))[1].numpy().tolist()
  for i, label in enumerate(labels):
    assert f'/{source.classes[label]}/' in source.describe(i)
  assert labels != sorted(labels)  # Mixed, so that slices have both classes.


def test_folder_slices_are_complementary(config, image_folder):
  first = open_folder(config, image_folder, 'train[:60%]')
  rest = open_folder(config, image_folder, 'train[60%:]')
  names = [s.describe(i) for s in (first, rest) for i in range(s.num_examples)]
  assert len(names) == len(set(names)) == 13


def test_an_empty_slice_of_a_folder_is_refused(config, image_folder):
  with pytest.raises(UserError, match='holds no examples'):
    open_folder(config, image_folder, 'train[:0]')


def test_hidden_files_are_left_out(config, image_folder):
  (image_folder / 'train' / 'cat' / '.DS_Store').write_bytes(b'x')
  assert open_folder(config, image_folder).num_examples == 13


def test_what_is_wrong_with_a_folder_is_named(config, image_folder, tmp_path):
  with pytest.raises(UserError, match='no folder .*nowhere'):
    open_folder(config, tmp_path / 'nowhere')
  with pytest.raises(UserError, match="no split 'test'.*train, val"):
    open_folder(config, image_folder, 'test')
  (image_folder / 'train' / 'emu').mkdir()
  with pytest.raises(UserError, match='train/emu is empty'):
    open_folder(config, image_folder)
  (image_folder / 'train' / 'emu' / 'notes.jpg').write_text('not an image')
  with pytest.raises(UserError, match='1 of 14 files .*train/emu/notes.jpg'):
    open_folder(config, image_folder)


@pytest.mark.parametrize(
  'dataset, split, message',
  [
    ('no_such_set', 'train', "unknown data set 'no_such_set'"),
    ('mnits', 'train', 'did you mean mnist'),
    ('mnist', 'train', 'not prepared in .*data.prepare --dataset=mnist'),
    ('digits:9.9.9', 'train', 'digits:9.9.9'),
    ('digits', 'validation', "no split 'validation' in digits.*train, test"),
    ('digits', 'train[:', "split 'train\\[:'"),
    ('digits', 'train[:0]', 'no examples'),
    ('folder', 'train', 'needs --config.data.data_dir'),
  ],
)
def test_what_is_wrong_with_a_name_is_said(config, dataset, split, message):
  config.data.dataset = dataset
  with pytest.raises(UserError, match=message):
    datasets.open_source(config.data, split)


def test_a_data_set_without_classes_is_refused(config, tmp_path):
  class Unlabelled(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version('1.0.0')

    def _info(self):
      return self.dataset_info_from_configs(
        features=tfds.features.FeaturesDict(
          {'image': tfds.features.Image(shape=(2, 2, 3))}
        )
      )

    def _split_generators(self, dl_manager):
      return {'train': self._generate_examples()}

    def _generate_examples(self):
      yield 0, {'image': np.zeros((2, 2, 3), np.uint8)}

  Unlabelled(data_dir=tmp_path).download_and_prepare()
  config.data.dataset, config.data.data_dir = 'unlabelled', str(tmp_path)
  with pytest.raises(UserError, match='not for image classification'):
    datasets.open_source(config.data, 'train')


def test_a_cache_keeps_what_fits_and_reads_the_rest_again():
  reads = []

  def read(index):
    reads.append(index)
    return bytes([index]) * 10

  cached = datasets.cached(read, cache_bytes=25)
  for _ in range(2):
    assert [cached(i) for i in range(4)] == [bytes([i]) * 10 for i in range(4)]
  assert reads == [0, 1, 2, 3, 2, 3]
  assert datasets.cached(read, cache_bytes=0) is read

"""Data sets by name: digits, slices of TFDS data sets, and refusals."""

import numpy as np
import pytest
from sklearn import datasets as sklearn_datasets

from inception.data.sources import catalog, digits
from inception.data.tensorflow import tf, tfds
from inception.errors import UserError


def test_digits_are_scikit_learns_with_every_fifth_held_out(config):
  train = catalog.open_source(config.data, 'train')
  test = catalog.open_source(config.data, 'test')
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


def test_splits_can_be_sliced_and_added(config):
  sizes = {
    split: catalog.open_source(config.data, split).num_examples
    for split in ('train[:50%]', 'train[10:20]+test[350:]', 'test[-7:]')
  }
  assert list(sizes.values()) == [718, 20, 7]


def test_a_slice_holds_the_examples_of_its_range(config):
  whole = catalog.open_source(config.data, 'test')
  part = catalog.open_source(config.data, 'test[100:103]')
  a = whole.load(tf.constant([100, 101, 102], tf.int64))
  b = part.load(tf.constant([0, 1, 2], tf.int64))
  for x, y in zip(a, b):
    np.testing.assert_array_equal(x, y)


def test_slices_cross_file_boundaries(config, tmp_path):
  builder = digits.Digits(data_dir=tmp_path)
  builder.download_and_prepare(
    download_config=tfds.download.DownloadConfig(num_shards=3)
  )
  assert builder.info.splits['test'].num_shards == 3
  config.data.data_dir = str(tmp_path)
  whole = catalog.open_source(config.data, 'test')
  part = catalog.open_source(config.data, 'test[100:300]')
  assert part.num_examples == 200
  indices = tf.constant([0, 20, 100, 199], tf.int64)
  np.testing.assert_array_equal(
    part.load(indices)[0], whole.load(100 + indices)[0]
  )


@pytest.mark.parametrize(
  'dataset, split, message',
  [
    ('no_such_set', 'train', "unknown data set 'no_such_set'.*'folder'"),
    ('mnits', 'train', 'did you mean mnist'),
    ('foldr', 'train', 'did you mean folder'),
    ('mnist', 'train', 'not prepared in .*data.prepare --dataset=mnist'),
    ('digits:9.9.9', 'train', 'digits:9.9.9'),
    ('digits', 'validation', "no split 'validation' in digits.*train, test"),
    ('digits', 'train[:', "split 'train\\[:'"),
    ('digits', 'train[:0]', 'no examples'),
    ('folder', 'train', 'needs --config.data.data_dir'),
  ],
)
def test_errors_name_what_is_wrong(config, dataset, split, message):
  config.data.dataset = dataset
  with pytest.raises(UserError, match=message):
    catalog.open_source(config.data, split)


def test_a_data_set_without_classes_is_refused(config, tmp_path):
  class Unlabeled(tfds.core.GeneratorBasedBuilder):
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

  Unlabeled(data_dir=tmp_path).download_and_prepare()
  config.data.dataset, config.data.data_dir = 'unlabeled', str(tmp_path)
  with pytest.raises(UserError, match='not set up for image class'):
    catalog.open_source(config.data, 'train')


@pytest.fixture
def build(config, tmp_path):
  """Builds a data set of four images with a given dtype and keys."""

  def build(name, dtype=np.uint8, keys=('image', 'label')):
    class Own(tfds.core.GeneratorBasedBuilder, skip_registration=True):
      VERSION = tfds.core.Version('1.0.0')
      pkg_dir_path = tmp_path

      def _info(self):
        image = tfds.features.Image(
          shape=(2, 2, 1), dtype=dtype, encoding_format='png'
        )
        label = tfds.features.ClassLabel(names=['a', 'b'])
        return self.dataset_info_from_configs(
          features=tfds.features.FeaturesDict({'image': image, 'label': label}),
          supervised_keys=keys,
        )

      def _split_generators(self, dl_manager):
        return {'train': self._generate_examples()}

      def _generate_examples(self):
        for i in range(4):
          yield i, {'image': np.full((2, 2, 1), i, dtype), 'label': i % 2}

    Own.name = name
    builder = Own(data_dir=tmp_path)
    builder.download_and_prepare()
    config.data.dataset, config.data.data_dir = name, str(tmp_path)
    return config, tmp_path / name / '1.0.0'

  return build


@pytest.mark.parametrize('dtype', [np.uint16, np.float32])
def test_images_of_other_types_are_refused(build, dtype):
  config, _ = build(f'own_{np.dtype(dtype).name}', dtype)
  with pytest.raises(UserError, match=f'images of {np.dtype(dtype).name}'):
    catalog.open_source(config.data, 'train')


@pytest.mark.parametrize(
  'name, keys',
  [
    ('own_none', None),
    ('own_nested', ({'a': 'image'}, 'label')),
    ('own_three', ('image', 'label', 'label')),
  ],
)
def test_the_only_image_and_label_need_no_keys(build, name, keys):
  config, _ = build(name, keys=keys)
  source = catalog.open_source(config.data, 'train')
  assert (source.num_examples, source.classes) == (4, ('a', 'b'))


@pytest.mark.parametrize('length', [0, -1])
def test_a_nonempty_shard_that_counts_as_empty_is_refused(build, length):
  config, folder = build(f'own_shard_{length + 1}')
  path = folder / 'dataset_info.json'
  text = path.read_text()
  assert '"4"' in text
  path.write_text(text.replace('"4"', f'"{length}"'))
  with pytest.raises(UserError, match='00000-of-00001 is treated as empty'):
    catalog.open_source(config.data, 'train')


def test_a_duplicate_class_is_refused(build):
  config, folder = build('own_twice')
  (folder / 'label.labels.txt').write_text('a\na\n')
  with pytest.raises(UserError, match="the class 'a' twice"):
    catalog.open_source(config.data, 'train')


@pytest.mark.parametrize(
  'file, content',
  [
    ('features.json', None),
    ('features.json', '{}'),
    ('dataset_info.json', None),
    ('dataset_info.json', '5'),
  ],
)
def test_a_missing_or_damaged_metadata_file_is_reported(build, file, content):
  config, folder = build('own_metadata')
  (folder / file).unlink()
  if content is not None:
    (folder / file).write_text(content)
  with pytest.raises(UserError, match=file) as error:
    catalog.open_source(config.data, 'train')
  assert len(str(error.value)) < 500

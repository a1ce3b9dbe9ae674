"""A folder of images as a data set."""

import pytest

from inception.data.sources import folder
from inception.data.tensorflow import tf
from inception.errors import UserError


def open_folder(config, root, split='train'):
  config.data.data_dir = str(root)
  return folder.open_split(config.data, split)


def test_labels_are_indices_into_the_sorted_class_names(config, image_folder):
  source = open_folder(config, image_folder)
  assert source.classes == ('cat', 'dog') and source.num_examples == 13
  labels = source.load(tf.range(13, dtype=tf.int64))[1].numpy().tolist()
  for i, label in enumerate(labels):
    assert f'/{source.classes[label]}/' in source.describe(i)
  assert labels != sorted(labels)  # Mixed, so that slices have both classes.


def test_slices_are_complementary(config, image_folder):
  first = open_folder(config, image_folder, 'train[:60%]')
  rest = open_folder(config, image_folder, 'train[60%:]')
  names = [s.describe(i) for s in (first, rest) for i in range(s.num_examples)]
  assert len(names) == len(set(names)) == 13


def test_an_empty_slice_is_refused(config, image_folder):
  with pytest.raises(UserError, match='holds no examples'):
    open_folder(config, image_folder, 'train[:0]')


def test_a_malformed_slice_is_refused(config, image_folder):
  with pytest.raises(UserError, match=r"cannot parse the split 'train\[:'"):
    open_folder(config, image_folder, 'train[:')


def test_hidden_files_are_ignored(config, image_folder):
  (image_folder / 'train' / 'cat' / '.DS_Store').write_bytes(b'x')
  assert open_folder(config, image_folder).num_examples == 13


def test_errors_name_what_is_wrong(config, image_folder, tmp_path):
  with pytest.raises(UserError, match='no folder .*nowhere'):
    open_folder(config, tmp_path / 'nowhere')
  with pytest.raises(UserError, match="no split 'test'.*it has train, val"):
    open_folder(config, image_folder, 'test')
  (image_folder / 'train' / 'emu').mkdir()
  with pytest.raises(UserError, match='train/emu is empty'):
    open_folder(config, image_folder)
  (image_folder / 'train' / 'emu' / 'notes.jpg').write_text('not an image')
  with pytest.raises(UserError, match='1 of 14 files .*train/emu/notes.jpg'):
    open_folder(config, image_folder)

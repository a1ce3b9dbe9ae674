"""Labels are matched by class name."""

import pytest

from inception.data import class_names
from inception.data.sources import folder
from inception.data.sources.source import relabel
from inception.data.tensorflow import tf
from inception.errors import UserError


@pytest.fixture
def source(config, image_folder):
  config.data.data_dir = str(image_folder)
  return folder.open_split(config.data, 'train')


def names_of(source):
  labels = source.load(tf.range(13, dtype=tf.int64))[1].numpy()
  return [source.classes[label] for label in labels]


def test_another_order_changes_labels_but_not_names(source):
  matched = relabel(source, ('dog', 'cat'), 'the network')
  assert matched.classes == ('dog', 'cat')
  assert names_of(matched) == names_of(source)
  labels = [s.load(tf.constant([0], tf.int64))[1] for s in (source, matched)]
  assert labels[0] != labels[1]


def test_classes_may_be_missing_but_not_unknown(source, capsys):
  matched = relabel(source, ('cat', 'cow', 'dog', 'emu'), 'the network')
  assert names_of(matched) == names_of(source)
  assert '2 of the 4 classes of the network; it lacks cow, emu' in (
    capsys.readouterr().err
  )
  with pytest.raises(UserError, match="class 1, 'dog' here and 'dingo' there"):
    relabel(source, ('cat', 'dingo'), 'the network')


def test_the_names_of_imagenet_match_tfds():
  synsets = class_names.imagenet()
  labels = tf.io.gfile.glob(f'{tfds_folder()}/datasets/imagenet2012/labels.txt')
  assert list(synsets) == tf.io.gfile.GFile(labels[0]).read().split()
  assert class_names.readable('n01440764').startswith('tench')
  assert class_names.readable('cat') == 'cat'
  # In WordNet, the crane that flies and the one that lifts share a name.
  assert len({class_names.readable(name) for name in synsets}) == 1000


def tfds_folder():
  import tensorflow_datasets

  return tensorflow_datasets.__path__[0]

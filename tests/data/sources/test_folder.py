"""A folder of images as a data set."""

import errno
import os

from PIL import Image
import pytest

from inception import paths
from inception.data import class_names, pipeline
from inception.data.pixels import images
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
  with pytest.raises(UserError, match=r"'train\[:'"):
    open_folder(config, image_folder, 'train[:')


def test_hidden_files_are_ignored(config, image_folder):
  (image_folder / 'train' / 'cat' / '.DS_Store').write_bytes(b'x')
  assert open_folder(config, image_folder).num_examples == 13


def test_errors_name_what_is_wrong(config, image_folder, tmp_path):
  with pytest.raises(UserError, match='no folder .*nowhere'):
    open_folder(config, tmp_path / 'nowhere')
  with pytest.raises(UserError, match="'test'.*train, val"):
    open_folder(config, image_folder, 'test')
  (image_folder / 'train' / 'emu').mkdir()
  (image_folder / 'train' / 'emu' / 'notes.jpg').write_text('not an image')
  with pytest.raises(
    UserError, match='1 of 14 files .*emu/notes.jpg.*data.max_bro'
  ):
    open_folder(config, image_folder)
  with pytest.raises(UserError, match='pictures .*class folder'):
    (tmp_path / 'pictures' / 'pictures').mkdir(parents=True)
    open_folder(config, tmp_path / 'pictures', 'pictures')


def test_skipped_files_are_reported_in_one_line(config, image_folder, capsys):
  train = image_folder / 'train'
  for name in ('Thumbs.db', 'desktop.ini', '.hidden.jpg', '__MACOSX/cat.jpg'):
    (train / 'cat' / name).parent.mkdir(exist_ok=True)
    (train / 'cat' / name).write_bytes(b'x')
  open_folder(config, image_folder)
  assert capsys.readouterr().err == ''
  (train / 'emu').mkdir()
  (train / 'cat' / 'gone.png').symlink_to('nowhere')
  (train / 'cat' / 'notes.txt').write_text('x')
  (train / 'loose.png').write_bytes(b'x')
  (train / '._hidden.png').write_bytes(b'x')
  (train / 'dog' / 'old').mkdir()
  (train / 'dog' / '1.jpg').rename(train / 'dog' / 'old' / '1.jpg')
  (train / 'dog' / 'old' / 'up').symlink_to(train / 'dog')
  config.data.max_broken = 0.1
  source = open_folder(config, image_folder)
  assert source.classes == ('cat', 'dog') and source.num_examples == 13
  (line,) = capsys.readouterr().err.splitlines()
  for phrase in (
    'skipped 1 class without images (emu)',
    'skipped 1 file that is not an image (cat/notes.txt)',
    'skipped 1 dead link (cat/gone.png)',
    'skipped 1 image outside class folders (loose.png)',
    '1 image in sub-folders of their class',
  ):
    assert phrase in line


def test_a_folder_without_splits_is_a_single_split(config, image_folder):
  with pytest.raises(UserError, match=r'images\[:80%\]'):
    open_folder(config, image_folder / 'train', 'validation')
  first = open_folder(config, image_folder / 'train', 'images[:60%]')
  whole = open_folder(config, image_folder, 'train[:60%]')
  names = [s.describe(i) for s in (first, whole) for i in range(8)]
  assert names[:8] == names[8:]


def test_classes_with_sub_folders_are_not_splits(config, image_folder):
  root = image_folder / 'train'
  for name in ('cat', 'dog'):
    (root / name / 'more').mkdir()
    (root / name / '0.png').rename(root / name / 'more' / '0.png')
  assert folder.split_names(paths.resolve(root)) == folder.WHOLE
  # The same for classes that are named like splits.
  (root / 'cat').rename(root / 'train')
  assert folder.split_names(paths.resolve(root)) == ['dog', 'train']


def test_names_may_contain_any_bytes(config, image_folder):
  cat = os.fsencode(image_folder / 'train' / 'cat')
  os.rename(cat + b'/0.png', cat + b'/\xff.png')
  config.data.data_dir = str(image_folder)
  source = folder.open_split(config.data, 'train')
  assert source.num_examples == 13
  encoded, _ = source.load(tf.range(13))
  assert all(len(data) > 9 for data in encoded.numpy())


@pytest.mark.parametrize('name', ['1.webp', '1.jpg'])
def test_formats_are_detected_by_content_not_name(config, image_folder, name):
  image = Image.new('RGB', (30, 20), (200, 10, 10))
  for folder_ in (image_folder / 'train').iterdir():
    for path in folder_.iterdir():
      path.unlink()
    image.save(folder_ / name, 'WEBP', lossless=True)
  source = open_folder(config, image_folder)
  assert source.num_examples == 2 and not source.jpeg
  config.data.image_size = 8
  shard = pipeline.HostShard(2, 1)
  for batch in (
    next(iter(pipeline.eval_batches(source, config.data, shard))),
    next(pipeline.train_batches(source, config.data, shard, 0, 0)),
  ):
    assert (batch['image'] == (200, 10, 10)).all()


@pytest.mark.parametrize(
  'names, wanted',
  [
    ([str(i) for i in range(12)], [str(i) for i in range(12)]),
    (['1', '10', '2'], ['1', '10', '2']),
    (['00', '01', '02'], ['00', '01', '02']),
    (['b', 'a'], ['a', 'b']),
  ],
)
def test_names_that_are_the_integers_from_0_are_in_their_order(names, wanted):
  assert list(class_names.in_order(names)) == wanted


@pytest.mark.parametrize('where', ['train/cat/more', 'train/cat', 'train'])
def test_a_folder_that_cannot_be_listed_is_not_skipped(
  config, image_folder, where, monkeypatch
):
  hidden = str(image_folder / where)
  (image_folder / 'train' / 'cat' / 'more').mkdir()
  for name in ('listdir', 'scandir'):
    read = getattr(os, name)

    def fail(path='.', read=read):
      if os.fspath(path) == hidden:
        raise PermissionError(errno.EACCES, 'Permission denied', hidden)
      return read(path)

    monkeypatch.setattr(os, name, fail)
  with pytest.raises(UserError, match=f'cannot list {hidden}: Permission'):
    open_folder(config, image_folder)


def test_a_pipe_counts_as_a_broken_file(config, image_folder):
  os.mkfifo(image_folder / 'train' / 'cat' / 'pipe.png')
  with pytest.raises(UserError, match=r'1 of 14 files .*cat/pipe.png'):
    open_folder(config, image_folder)


@pytest.mark.parametrize('kind', ['TIFF', 'AVIF'])
def test_formats_that_pillow_reads_are_images(config, tmp_path, kind):
  for name in ('a', 'b'):
    (tmp_path / 'train' / name).mkdir(parents=True)
    image = Image.new('RGB', (9, 9), (10, 200, 30))
    image.save(tmp_path / 'train' / name / f'x.{kind.lower()}', kind)
  source = open_folder(config, tmp_path)
  assert source.num_examples == 2
  encoded, _ = source.load(tf.range(1, dtype=tf.int64))
  (pixels,) = images.eval_images(encoded, config.data).numpy()
  assert abs(pixels[0, 0].astype(int) - (10, 200, 30)).max() < 4


def test_heic_is_reported_as_unsupported():
  head = b'\0\0\0\x18ftypheic\0\0\0\0'
  assert 'HEIC is not supported' in images.why_not_decoded(head)

"""Preparing ImageNet from its archives, quirks included, and other data."""

import io
import shutil
import tarfile

import numpy as np
from PIL import Image
import pytest

from inception import paths
from inception.data import check_folder, imagenet, pipeline, prepare
from inception.data.sources import catalog
from inception.data.tensorflow import tfds
from inception.errors import UserError
from tests.pretrained import web

# Images that TFDS repairs by name: a PNG named .JPEG, and a CMYK image.
PNG = 'n02105855_2933.JPEG'
CMYK = 'n01739381_1309.JPEG'


def picture(size, mode='RGB', kind='JPEG', **options):
  generator = np.random.default_rng(size[0])
  channels = {'RGB': (3,), 'L': (), 'CMYK': (4,)}[mode]
  pixels = generator.integers(0, 256, (size[1], size[0], *channels), np.uint8)
  image = Image.fromarray(pixels, mode)
  buffer = io.BytesIO()
  image.save(buffer, kind, **options)
  return buffer.getvalue()


def rotated(size):
  exif = Image.Exif()
  exif[0x0112] = 6  # Rotated by 90 degrees.
  return picture(size, exif=exif.tobytes())


def add(archive, name, content):
  member = tarfile.TarInfo(name)
  member.size = len(content)
  archive.addfile(member, io.BytesIO(content))


def tar_of(members):
  buffer = io.BytesIO()
  with tarfile.open(fileobj=buffer, mode='w') as archive:
    for name, content in members.items():
      add(archive, name, content)
  return buffer.getvalue()


@pytest.fixture(scope='module')
def manual_dir(tmp_path_factory):
  """Both archives: nine images in three synsets, and four for validation."""
  folder = tmp_path_factory.mktemp('manual')
  synsets = {
    'n01440764': {
      'n01440764_1.JPEG': picture((50, 40)),
      'n01440764_2.JPEG': picture((40, 50), 'L'),
      'n01440764_3.JPEG': rotated((60, 30)),
      'n01440764_4.JPEG': picture((1, 1)),
    },
    'n01739381': {
      CMYK: picture((33, 44), 'CMYK'),
      'n01739381_1.JPEG': picture((700, 900)),
    },
    'n02105855': {
      PNG: picture((31, 45), kind='PNG'),
      'n02105855_1.JPEG': picture((1500, 80)),
      'n02105855_2.JPEG': picture((64, 64), quality=5, progressive=True),
    },
  }
  train = tar_of({f'{name}.tar': tar_of(x) for name, x in synsets.items()})
  (folder / 'ILSVRC2012_img_train.tar').write_bytes(train)
  val = {
    f'ILSVRC2012_val_{i:08d}.JPEG': picture((40 + i, 50)) for i in range(1, 5)
  }
  (folder / 'ILSVRC2012_img_val.tar').write_bytes(tar_of(val))
  return folder


def test_archives_become_a_data_set_that_trains(config, manual_dir, tmp_path):
  imagenet.check_archives(manual_dir, sample=True)
  prepare.prepare('imagenet2012', manual_dir, str(tmp_path))
  found = prepare.verify('imagenet2012', str(tmp_path))
  assert found == {
    'train': {
      'examples': 9,
      'classes': 1000,
      'first_class': 'n01440764',
      'decoded_each_end': 8,
    },
    'validation': {
      'examples': 4,
      'classes': 1000,
      'first_class': 'n01440764',
      'decoded_each_end': 4,
    },
  }
  with pytest.raises(UserError, match='train .* 9 images'):
    imagenet.check_counts(found)
  assert prepare.is_prepared('imagenet2012', str(tmp_path))
  assert not prepare.is_prepared('imagenet2012', str(tmp_path / 'other'))
  config.data.dataset, config.data.data_dir = 'imagenet2012', str(tmp_path)
  source = catalog.open_source(config.data, 'train')
  assert source.jpeg
  batches = pipeline.train_batches(
    source, config.data, pipeline.HostShard(9, 1), 0, 0
  )
  labels = [source.classes[i] for i in next(batches)['label'][0]]
  assert sorted(labels) == (
    ['n01440764'] * 4 + ['n01739381'] * 2 + ['n02105855'] * 3
  )


def test_wrong_archives_are_reported(manual_dir, tmp_path):
  with pytest.raises(UserError, match='--manual_dir'):
    imagenet.check_archives(None, sample=False)
  with pytest.raises(UserError, match='img_train.tar'):
    imagenet.check_archives(tmp_path, sample=False)
  with pytest.raises(UserError, match='147,897,477,120'):
    imagenet.check_archives(manual_dir, sample=False)
  train = (manual_dir / 'ILSVRC2012_img_train.tar').read_bytes()
  (tmp_path / 'ILSVRC2012_img_train.tar').write_bytes(train)
  (tmp_path / 'ILSVRC2012_img_val.tar').write_bytes(train)
  with pytest.raises(UserError, match='val.tar .*n01440764.tar'):
    imagenet.check_archives(tmp_path, sample=True)
  (tmp_path / 'ILSVRC2012_img_val.tar').write_bytes(b'not a tar file')
  with pytest.raises(UserError, match='val.tar'):
    imagenet.check_archives(tmp_path, sample=True)


def test_other_tfds_data_sets_can_be_prepared(tmp_path):
  prepare.prepare('digits', None, str(tmp_path))
  found = prepare.verify('digits', str(tmp_path))
  assert found['train']['examples'] == 1437
  with pytest.raises(UserError, match="'nothing_like_it'"):
    prepare.prepare('nothing_like_it', None, str(tmp_path))


def test_a_download_that_fails_ends_soon(tmp_path):
  class Remote(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version('1.0.0')
    url = ''

    def _info(self):
      return self.dataset_info_from_configs()

    def _split_generators(self, downloads):
      downloads.download(self.url)

    def _generate_examples(self):
      yield from ()

  with web.serve() as server:
    Remote.url = f'{server.url}/archive'
    server.pages['/archive'] = web.Page(status=503)
    with pytest.raises(UserError, match="cannot prepare 'remote'.*503"):
      prepare.prepare('remote', None, str(tmp_path))
    assert len(server.requests) == 5


def test_a_folder_is_checked(image_folder):
  root = paths.resolve(image_folder)
  report = check_folder.check(root, decode_all=True)
  assert report.lines() == [
    'train: 13 images in 2 classes (6 to 7 per class)',
    'val: 13 images in 2 classes (6 to 7 per class)',
    'no problems',
  ]
  path = image_folder / 'val' / 'dog' / '1.jpg'
  path.write_bytes(path.read_bytes()[:100])
  Image.new('LA', (9, 9)).save(image_folder / 'val' / 'dog' / 'clear.png')
  train, val = (image_folder / split for split in ('train', 'val'))
  shutil.copy(train / 'dog' / '2.png', val / 'cat' / 'copy.png')
  (train / 'emu').mkdir()
  shutil.copy(train / 'dog' / '3.jpg', train / 'emu')
  shutil.copy(train / 'cat' / '0.png', train / 'cat' / 'again.png')
  (val / 'dog' / 'notes.txt').write_text('x')
  report = check_folder.check(root, decode_all=True)
  assert report.errors == (
    '2 of 16 files in val are broken or not images; remove them, or train with'
    ' --config.data.max_broken=0.125',
  )
  assert report.broken == (
    'val/dog/1.jpg: it cannot be decoded because it is damaged or incomplete',
    'val/dog/notes.txt: it is not an image',
  )
  assert not check_folder.check(root, True, max_broken=0.125).errors
  assert [warning.partition(': ')[2] for warning in report.warnings] == [
    'emu',
    'skipped 1 file that is not an image (dog/notes.txt)',
    'val/dog/clear.png',
    'val/dog/1.jpg',
    'train/dog/2.png = val/cat/copy.png',
    'train/dog/3.jpg = train/emu/3.jpg, train/dog/2.png = val/cat/copy.png',
    'train/cat/0.png = train/cat/again.png',
  ]
  assert report.warnings[-1].startswith('1 image more than once in one class:')
  (flat,) = check_folder.check(val, decode_all=False).broken
  assert flat == 'dog/notes.txt: it is not an image'
  assert '1 of 16' in check_folder.check(root, decode_all=False).errors[0]
  shutil.rmtree(train / 'cat')
  assert (
    'val has 1 class that train lacks: cat'
    in (check_folder.check(root, decode_all=False).errors[0])
  )
  for split in (train, val):
    shutil.rmtree(split)
  with pytest.raises(UserError, match='no images in'):
    check_folder.check(root, decode_all=False)

"""docs/own-pictures.md, from a folder with odd files to classified images."""

import csv
import pathlib
import re

import numpy as np
from PIL import Image
import pytest
import skimage

from tests import pages, warm
from tests.test_docs import (
  ROOT,
  STRICT,
  folder,
  start,
  weights,
)

PAGE = ROOT / 'docs' / 'own-pictures.md'
PHOTOGRAPHS = pathlib.Path(skimage.__file__).parent / 'data'
CLASSES = {'cat': 'chelsea.png', 'cup': 'coffee.png', 'launch': 'rocket.jpg'}

__all__ = ['folder', 'weights']  # Fixtures.
pytestmark = pytest.mark.usefixtures('python')


def crops(name, count, seed):
  """Yields random crops of a photograph."""
  photograph = Image.open(PHOTOGRAPHS / name).convert('RGB')
  generator = np.random.default_rng(seed)
  width, height = photograph.size
  for _ in range(count):
    side = int(min(width, height) * generator.uniform(0.5, 0.9))
    left = int(generator.integers(0, width - side))
    top = int(generator.integers(0, height - side))
    yield photograph.crop((left, top, left + side, top + side)).resize((90, 80))


def rotated(image):
  exif = Image.Exif()
  exif[0x0112] = 6
  return {'exif': exif}


def save_all(root, seed):
  """Saves three classes, each picture in a different format."""
  for label, name in CLASSES.items():
    place = root / label
    place.mkdir(parents=True)
    rgb, rgba, gray, palette, jpeg, webp = crops(name, 6, seed)
    rgb.save(place / 'rgb.png')
    alpha = Image.linear_gradient('L').resize(rgba.size)
    rgba.putalpha(alpha)
    rgba.save(place / 'rgba.png')
    la = gray.convert('L')
    la.putalpha(alpha)
    la.save(place / 'la.png')
    palette.quantize(32).save(place / 'palette.png', transparency=3)
    jpeg.save(place / 'turned.jpg', quality=95, **rotated(jpeg))
    webp.save(place / 'small.webp', quality=90)


def add_odd_files(root):
  train = root / 'train'
  for name in ('Thumbs.db', 'desktop.ini', '.DS_Store'):
    (train / 'cat' / name).write_bytes(b'x')
  (train / '__MACOSX').mkdir()
  (train / '__MACOSX' / 'cat.jpg').write_bytes(b'x')
  (train / 'nothing').mkdir()
  (train / 'cat' / 'notes.txt').write_text('x')
  (train / 'cat' / 'page.jpg').write_text('<html>')
  (train / 'cat' / 'empty.png').write_bytes(b'')
  (train / 'cat' / 'gone.png').symlink_to('nowhere')
  (train / 'cup' / 'more').mkdir()
  (train / 'cup' / 'rgb.png').rename(train / 'cup' / 'more' / 'rgb.png')


@pytest.fixture
def pictures(folder, weights):
  """A reader's folder, with photographs and other files that people have."""
  # Instead of a download: a folder of that name takes precedence.
  weights.rename(folder / 'inception_v3.tv_in1k')
  for old in (folder / 'pictures').iterdir():
    old.rename(folder / f'old_{old.name}')
  save_all(folder / 'pictures' / 'train', 0)
  save_all(folder / 'pictures' / 'val', 1)
  add_odd_files(folder / 'pictures')
  (folder / 'new').mkdir()
  (first, second) = crops('chelsea.png', 2, 2)
  first.putalpha(128)
  first.save(folder / 'new' / 'a.png')
  second.save(folder / 'new' / 'b.jpg', **rotated(second))
  (folder / 'new' / 'c.png').write_bytes(b'broken')
  return folder


@pytest.mark.slow
def test_the_page_leads_to_a_classified_picture(pictures):
  def run(block, status=0):
    done = start(['bash', '-euc', block.code], pictures)
    assert done.returncode == status, done.stdout + done.stderr
    pages.check_output(PAGE, block, done.stdout, alike=tuple(CLASSES))
    return done

  check, train, evaluate, predict, features = pages.blocks(PAGE, 'sh')
  run(check)
  done = run(train)
  assert 'skipped 3 files that are not images' in done.stderr
  done = run(evaluate)
  assert done.stderr == ''
  page = (pictures / 'mine.html').read_text()
  assert {'cat', 'cup', 'launch'} <= set(re.findall(r'<td>(\w+)</td>', page))

  done = run(predict, status=1)
  assert 'new/c.png: it is not an image: its format is not' in done.stderr
  # At 75 pixels.
  assert 'last grid is one cell, so heat maps have a single' in done.stderr
  assert done.stderr.count('\n') == 3
  with open(pictures / 'names.csv') as file:
    named = {row['file'] for row in csv.DictReader(file)}
  assert named == {'new/a.png', 'new/b.jpg'}
  assert len(list((pictures / 'why').iterdir())) == 2
  run(features, status=1)
  assert np.load(pictures / 'features.npz')['features'].shape[0] == 1

  (snippet,) = pages.blocks(PAGE, 'python')
  done = start([warm.python(), '-c', STRICT + snippet.code], pictures)
  assert (done.returncode, done.stderr) == (0, '')
  assert re.match(r'new/a.png (cat|cup|launch) 0\.\d+', done.stdout)

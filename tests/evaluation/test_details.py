"""Per-class results, confusions and mistakes, and their report page."""

import base64
import io
import json
import math
import re

import jax
import numpy as np
from PIL import Image
import pytest

from inception.evaluation import details
from inception.evaluation.results import write_results
from inception.evaluation.workdir import open_workdir
from inception.paths import resolve
from inception.predict.predictor import Predictor
from inception.reports import calibration, per_class
from tests.checkpoints.test_old_versions import OLD

NAMES = ('ant', 'bee <b>', 'cat')


@Predictor
def fixed(variables, images):
  """Returns the first pixel of each image, scaled, as its logits."""
  first = images[:, 0, 0, :].astype(np.float32)
  return first * variables


def batches():
  """Seven examples in batches of four on two devices, with padding."""
  red, green, blue = np.eye(3, dtype=np.uint8)
  strength = [1, 2, 3, 4, 5, 6, 7, 0]
  pixels = [red, red, green, green, blue, red, green, red]
  labels = [0, 0, 1, 0, 0, 2, 1, 0]
  images = np.zeros((8, 6, 6, 3), np.uint8)
  for i in range(8):
    images[i] = pixels[i] * strength[i]
  mask = np.ones(8, np.float32)
  mask[7] = 0
  for part in (slice(0, 4), slice(4, 8)):
    yield {
      'image': images[part].reshape(2, 2, 6, 6, 3),
      'label': np.array(labels[part]).reshape(2, 2),
      'mask': mask[part].reshape(2, 2),
    }


@pytest.fixture
def found():
  return details.collect(
    fixed, np.float32(1), batches(), jax.devices()[:2], NAMES, 'file {}'.format
  )


def test_confusions_count_every_example_once(found):
  assert found['confusion'] == [[2, 1, 1], [0, 2, 0], [1, 0, 0]]


def test_the_worst_mistakes_are_the_most_confident(found, monkeypatch):
  names = [entry['name'] for entry in found['worst']]
  assert names == ['file 5', 'file 4', 'file 3']
  first = found['worst'][0]
  assert (first['label'], first['predicted']) == ('cat', 'ant')
  assert first['probability'] == pytest.approx(np.exp(6) / (np.exp(6) + 2))
  picture = Image.open(io.BytesIO(base64.b64decode(first['png'])))
  assert np.asarray(picture)[0, 0].tolist() == [6, 0, 0]
  monkeypatch.setattr(details, '_WORST', 2)
  fewer = details.collect(
    fixed, np.float32(1), batches(), jax.devices()[:2], NAMES, 'file {}'.format
  )
  assert fewer['worst'] == found['worst'][:2]


ABOUT = {'network': 'inception_v1', 'workdir': 'runs/a', 'image_size': 48}
RESULTS = {
  'step': 7,
  'dataset': 'folder',
  'split': 'val',
  'examples': 7,
  'loss': 1.5,
  'top1': 4 / 7,
  'top5': 1.0,
  'precision': 'float32',
  'crops': 1,
}


def test_bins_give_the_calibration_error():
  bins = details.reliability(
    np.array([0.1, 0.9, 0.95, 1.0]), np.array([True, True, False, True])
  )
  assert bins.sum(0).tolist() == pytest.approx([4, 2.95, 3])
  assert bins[-1].tolist() == pytest.approx([2, 1.95, 1])
  # |1 - 0.1| + |1 - 0.9| + |1 - 1.95|, over 4 examples.
  assert calibration.expected_error(bins) == pytest.approx(1.95 / 4)


def test_bins_of_a_collection_count_every_example(found):
  bins = np.array(found['bins'])
  assert bins[:, 0].sum() == 7 and bins[:, 2].sum() == 4


def test_the_page_shows_the_details_and_escapes_names(found):
  page = per_class.render(RESULTS, {**ABOUT, **found})
  assert '<title>inception_v1: folder val' in page
  assert 'runs/a, step 7, float32, 48 x 48 pixels, 20' in page
  assert 'bee &lt;b&gt;' in page and 'bee <b>' not in page
  assert 'Top-1 57.14%' in page and '7 examples' in page
  rows = re.findall(r'<tr><td>(\w+)[^<]*</td><td>(\d+)</td><td>([\d.]+)%', page)
  assert rows == [
    ('cat', '1', '0.0'),
    ('ant', '4', '50.0'),
    ('bee', '2', '100.0'),
  ]
  assert page.count('data:image/png;base64,') == 3
  assert '<table class="matrix long">' in page
  assert 'http' not in page  # A single file, without links.
  many = {**ABOUT, **found, 'classes': [str(i) for i in range(41)]}
  many['confusion'] = np.eye(41, dtype=int).tolist()
  page = per_class.render(RESULTS, {**many, 'worst': []})
  assert 'class="matrix"' not in page.split('</style>')[1]
  assert page.count('None.') == 2


def test_file_names_are_relative_and_short_labels_upright(found):
  worst = [
    {**entry, 'name': f'/data/val/{entry["label"][:3]}/{i}.png'}
    for i, entry in enumerate(found['worst'])
  ]
  short = {**ABOUT, **found, 'classes': ['a', 'b', 'c'], 'worst': worst}
  page = per_class.render(RESULTS, short)
  assert 'In /data/val:' in page and '>ant/1.png<' in page
  assert '<table class="matrix">' in page


def test_the_interval_is_the_wilson_interval():
  low, high = per_class.interval(0.5, 100)
  assert (low, high) == pytest.approx((0.4038, 0.5962), abs=1e-4)
  low, high = per_class.interval(1.0, 10)
  assert (low, high) == pytest.approx((0.7225, 1.0), abs=1e-4)


def test_results_of_another_folder_do_not_overwrite_the_first(
  image_folder, tmp_path
):
  results = {**RESULTS, 'data_dir': str(image_folder)}
  first = write_results(resolve(tmp_path), results)
  assert write_results(resolve(tmp_path), results) == first
  others = {
    write_results(resolve(tmp_path), {**results, **change})
    for change in (
      {'data_dir': str(image_folder.parent / 'other' / 'images')},
      {'data_dir': None},
      {'split': 'train'},
      {'split': 'images[:80%]'},
      {'split': 'images[80%:]'},
    )
  }
  assert len(others) == 5 and first not in others
  assert json.loads(first.read_text())['data_dir'] == str(image_folder)


def test_a_checkpoint_gives_details_and_results(tmp_path):
  opened = open_workdir(
    OLD / 'imported_0_1',
    split='test[:40]',
    dataset='digits',
    batch_size=16,
    devices=jax.devices()[:2],
  )
  found = opened.details()
  results = opened.results()
  confusion = np.array(found['confusion'])
  assert confusion.sum() == results['examples'] == 40
  assert np.trace(confusion) / 40 == results['top1']
  assert (
    results
    == open_workdir(
      OLD / 'imported_0_1',
      split='test[:40]',
      dataset='digits',
      batch_size=16,
      devices=jax.devices()[:2],
    ).results()
  )
  assert found['worst'][0]['name'].startswith('/')


def test_values_that_are_not_finite_are_shown_on_the_page(found):
  """As from a network whose activations overflow."""
  results = {**RESULTS, 'loss': math.nan}
  bins = details.reliability(np.array([np.nan, np.inf]), np.array([1, 0]))
  html = per_class.render(results, {**ABOUT, **found, 'bins': bins.tolist()})
  assert 'loss not finite.' in html and 'error not finite.' in html
  assert 'nan%' not in html and ' nan' not in html
  html = per_class.render({**results, 'examples': 0}, {**ABOUT, **found})
  assert 'No examples were counted.' in html
  assert per_class.interval(0.0, 0) == (0, 1)

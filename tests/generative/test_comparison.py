"""The command, its images, and its files of statistics."""

import dataclasses
import json
import re
import zipfile

import numpy as np
from PIL import Image
import pytest

from inception import generative
from inception.generative import (
  __main__,
  extractor,
  measures,
  modes,
  reference,
)
from tests import test_odd_values
from tests.generative.cheap import EXTRACTOR, features_of

FACTS = {
  'feature': 'projection',
  'mode': 'tf1',
  'precision': 'float32',
  'weights_sha256': 'abc',
  'variables_sha256': 'def',
}


@pytest.fixture
def run(monkeypatch):
  """Runs the command with a cheap network; returns its JSON or its error."""
  cheap = dataclasses.replace(EXTRACTOR, facts=FACTS)
  monkeypatch.setattr(extractor, 'load', lambda *_: cheap)

  def run_command(*flags):
    code, out, err = test_odd_values.run(__main__, ['--json', *flags])
    assert code in (0, None) or (code == 2 and err.count('error: ') == 1), err
    return err if code else (json.loads(out.splitlines()[-1]), err)

  return run_command


def write_pictures(folder, seed, count, suffix='.png'):
  """Writes pictures of 10 x 8 pixels, and returns their pixels in order."""
  state = np.random.RandomState(seed)
  (folder / 'sub').mkdir(parents=True)
  pixels = state.randint(0, 256, (count, 8, 10, 3)).astype(np.uint8)
  for i, image in enumerate(pixels):
    # The order of the paths: 000 ... 009, then sub/010 ...
    name = f'{i:03d}{suffix}' if i < 10 else f'sub/{i:03d}{suffix}'
    Image.fromarray(image).save(folder / name)
  return pixels


@pytest.fixture
def sides(tmp_path):
  real = write_pictures(tmp_path / 'real', 1, 20)
  generated = write_pictures(tmp_path / 'generated', 2, 16)
  return tmp_path, generated, real


def fid(generated, real):
  pair = (generative.of_features(features_of(x)) for x in (generated, real))
  return generative.frechet_distance(*pair)


def test_folders_zips_and_arrays_give_the_same(run, sides):
  folder, generated, real = sides
  np.savez(folder / 'real.npz', real)
  np.save(folder / 'real.npy', real)
  with zipfile.ZipFile(folder / 'real.zip', 'w') as archive:
    for path in sorted((folder / 'real').rglob('*.png')):
      archive.write(path, path.relative_to(folder))
  found = []
  for name in ('real', 'real.npz', 'real.npy', 'real.zip'):
    report, _ = run(
      f'--generated={folder}/generated', f'--real={folder}/{name}'
    )
    found.append(report['scores'])
  assert all(scores == found[0] for scores in found)
  assert found[0]['fid']['value'] == pytest.approx(
    fid(generated, real), rel=1e-5
  )
  assert {'sfid', 'is', 'precision', 'recall'} <= found[0].keys()
  assert report['left_out'].keys() == {'kid'}
  facts = report['facts']
  assert (facts['generated_images'], facts['real_images']) == (16, 20)
  assert (facts['mode'], facts['weights_sha256']) == ('tf1', 'abc')


def test_saved_statistics_give_the_same(run, sides):
  folder, generated, real = sides
  where = f'--generated={folder}/generated'
  report, _ = run(
    f'--generated={folder}/real',
    f'--save_statistics={folder}/real.npz',
    '--save_features',
  )
  assert report['scores'].keys() == {'is'}
  direct, _ = run(where, f'--real={folder}/real', '--kid_subset_size=10')
  saved, err = run(where, f'--real={folder}/real.npz', '--kid_subset_size=10')
  assert saved['scores'] == direct['scores']
  assert len(saved['facts']['real_statistics_sha256']) == 64
  assert 'not state' not in err
  with np.load(folder / 'real.npz') as file:
    assert file['mu'].dtype == file['sigma'].dtype == np.float64
    expected = features_of(real).astype(float)
    np.testing.assert_allclose(file['mu'], expected.mean(0), atol=1e-5)
    np.testing.assert_allclose(
      file['sigma'], np.cov(expected, rowvar=False), atol=1e-4
    )
    assert (file['count'], file['mode']) == (20, 'tf1')
  # Between two files, nothing is computed again.
  run(where, f'--save_statistics={folder}/own.npz', '--float32_mean')
  both, _ = run(f'--generated={folder}/own.npz', f'--real={folder}/real.npz')
  assert both['scores']['fid']['value'] == pytest.approx(
    fid(generated, real), rel=1e-4
  )
  assert np.load(folder / 'own.npz')['mu'].dtype == np.float32


def test_saved_statistics_can_be_merged(run, sides):
  folder, generated, real = sides
  both = np.concatenate([generated, real])
  for name in ('generated', 'real'):
    run(
      f'--generated={folder}/{name}', f'--save_statistics={folder}/{name}.npz'
    )
  parts = [
    generative.read_statistics(folder / f'{name}.npz')
    for name in ('generated', 'real')
  ]
  for order in (parts, parts[::-1]):
    merged = generative.merge_samples(*order)
    expected = generative.of_features(features_of(both))
    assert merged.count == 36
    distance = generative.frechet_distance(merged.gaussian, expected)
    assert distance == pytest.approx(0, abs=1e-6)


def test_numbers_of_images_and_their_errors(run, sides):
  folder, generated, real = sides
  report, err = run(
    f'--generated={folder}/generated',
    f'--real={folder}/real',
    '--num_images=12',
    '--metrics=fid,kid',
    '--kid_subset_size=10',
    '--bootstrap=20',
    '--batch_size=5',
  )
  scores = report['scores']
  assert scores['fid']['value'] == pytest.approx(
    fid(generated[:12], real), rel=1e-5
  )
  assert scores['fid']['standard_error'] > 0
  assert scores['kid_of_all']['standard_error'] > 0
  assert report['facts']['generated_images'] == 12
  assert (report['facts']['bootstrap'], report['facts']['kid_subsets']) == (
    20,
    100,
  )
  assert 'far too large' not in err


def test_bootstrap_needs_features(run, sides):
  folder, *_ = sides
  saved = f'{folder}/saved.npz'
  run(f'--generated={folder}/generated', f'--save_statistics={saved}')
  error = run(f'--generated={saved}', f'--real={folder}/real', '--bootstrap=9')
  assert 'bootstrap needs the features of all generated images' in error


def test_crops_are_for_the_side_with_images(run, wrong):
  """The other side may be statistics."""
  error = run(
    f'--generated={wrong}/sizes.npz', f'--real={wrong}/bad', '--crop=8'
  )
  assert '002.png' in error


def test_help_names_what_there_is():
  _, out, _ = test_odd_values.run(__main__, ['--help'])
  names = (*measures.METRICS, *modes.MODES, extractor.PUBLISHED)
  assert [name for name in names if name not in out] == []
  defaults = [name for name, x in measures.METRICS.items() if x.is_default]
  assert defaults == list(measures.METRICS)[:5]


def test_skipped_files_are_reported(run, sides):
  folder, *_ = sides
  (folder / 'real' / 'labels.json').write_text('{}')
  (folder / 'real' / '.hidden').write_text('')
  write_pictures(folder / 'real' / '.thumbnails', 1, 12)
  report, err = run(f'--generated={folder}/real')
  assert report['facts']['generated_images'] == 20
  assert '1 file of' in err and 'labels.json' in err and 'hidden' not in err


def test_statistics_made_differently_are_reported(run, tmp_path):
  def write(name, **facts):
    np.savez(tmp_path / name, mu=np.zeros(6), sigma=np.eye(6), **facts)

  where = f'--generated={tmp_path}/a.npz', f'--real={tmp_path}/b.npz'
  write('a', **FACTS, crop=6)
  write('b', **{**FACTS, 'precision': 'bfloat16'}, crop=8)
  report, err = run(*where)
  assert 'one side is cropped to 6 pixels, the other to 8 pixels' in err
  assert 'features are in bfloat16 and float32: not comparable' in err
  assert 'not state' not in err
  # Images of 6 x 6 pixels need no crop to 6.
  for size, words in (('5', 'cropped not at all, the other to 6'), ('6', '')):
    write('a', **FACTS, crop=0, image_size=size)
    write('b', **FACTS, crop=6, image_size='6')
    _, err = run(*where)
    assert words in err and ('cropped' in err) == bool(words)
  facts = report['facts']
  assert (facts['crop'], facts['real_crop']) == (6, 8)
  write('a')
  write('b')
  _, err = run(*where)
  assert 'do not state their features, mode, weights' in err


def test_jpegs_beside_other_pictures_are_reported(run, sides):
  folder, *_ = sides
  write_pictures(folder / 'jpeg', 3, 12, '.jpg')
  _, err = run(
    f'--generated={folder}/generated', f'--real={folder}/jpeg', '--metrics=fid'
  )
  assert 'FID also measures compression' in err
  # Statistics remember it.
  saved = f'{folder}/jpeg.npz'
  run(f'--generated={folder}/jpeg', f'--save_statistics={saved}')
  _, err = run(
    f'--generated={folder}/generated', f'--real={saved}', '--metrics=fid'
  )
  assert 'FID also measures compression' in err


@pytest.fixture
def wrong(sides):
  """A folder with invalid inputs, beside `generated` and `real`."""
  folder, *_ = sides
  (folder / 'none').mkdir()
  (folder / 'none' / 'notes.txt').write_text('')
  write_pictures(folder / 'bad', 3, 4)
  (folder / 'bad' / '002.png').write_bytes(b'no picture')
  write_pictures(folder / 'one', 3, 1)
  np.save(folder / 'two.npy', np.zeros((4, 8, 8, 2), np.uint8))
  np.save(folder / 'float.npy', np.zeros((4, 8, 8, 3), np.float32))
  np.save(folder / 'order.npy', np.zeros((4, 8, 8, 3), np.uint8, 'F'))
  np.savez(folder / 'keys.npz', a=np.zeros(3), b=np.zeros(3))
  for name, size, sigma, facts in (
    ('sizes', 3, np.eye(3), {}),
    ('clean', 6, np.eye(6), {'mode': 'clean'}),
    ('other', 6, np.eye(6), {'variables_sha256': 'xyz'}),
    ('nan', 6, np.eye(6) * np.nan, {}),
    ('skew', 6, np.tri(6), {}),
    ('diagonal', 6, -np.eye(6), {}),
    ('negative', 6, np.eye(6) - 0.5, {}),
  ):
    path = folder / f'{name}.npz'
    np.savez(path, mu=np.zeros(size), sigma=sigma, **facts)
  return folder


WRONG = (
  ('nowhere', '', '', 'nowhere does not exist'),
  ('none', '', '', 'holds no pictures'),
  ('one', '', '', 'one: at least two images are needed, not 1'),
  ('generated', 'one', '', 'one: at least two images are needed, not 1'),
  ('two.npy', '', '', 'uint8 .4, 8, 8, 2.; images are'),
  ('float.npy', '', '', 'float32 .4, 8, 8, 3.; images'),
  ('order.npy', '', '', 'save np.ascontiguousarray'),
  ('keys.npz', '', '', 'holds 2 arrays; store the images as arr_0'),
  ('tfds:digits', '', '', 'is not tfds:NAME:SPLIT'),
  ('clean.npz', 'clean.npz', '', 'is clean, that of this run is tf1'),
  ('sizes.npz', 'sizes.npz', '--crop=64', 'crop is for images'),
  ('sizes.npz', 'sizes.npz', '--num_images=9', 'num_images is for images'),
  ('generated', 'clean.npz', '', 'clean, that of this run is tf1'),
  (
    'generated',
    'other.npz',
    '',
    'weights of the two sides differ: def and xyz',
  ),
  ('generated', 'nan.npz', '', 'sigma holds NaN'),
  ('generated', 'skew.npz', '', 'sigma is not symmetric'),
  ('generated', 'diagonal.npz', '', 'negative variances on its diagonal'),
  (
    *('generated', 'sizes.npz', '--metrics=precision_recall'),
    'real side is statistics, without features',
  ),
  (
    'generated',
    'real',
    '--metrics=kid',
    'not 16; the largest kid_subset_size is 16',
  ),
  (
    *('generated', 'real', '--metrics=kid --kid_subset_size=17'),
    'needs 17 images per side, not 16',
  ),
  ('real', 'generated', '--metrics=kid --kid_subset_size=17', 'not 16'),
  (
    *('clean.npz', '', '--mode=clean --metrics=is'),
    'generated side has no logits',
  ),
  (
    *('sizes.npz', 'sizes.npz', '--metrics=kid'),
    'generated side is statistics, without features',
  ),
  (
    *('sizes.npz', 'real', '--save_features --save_statistics={folder}/x.npz'),
    'statistics without features: none can be saved',
  ),
  ('generated', '', '--num_images=17', '17 is more than the 16 images'),
  ('generated', '', '--metrics=fid', 'there are no real images'),
  ('generated', '', '--metrics=', 'metrics is empty; name some'),
  ('generated', '', '--metrics=is --bootstrap=9', '=9 needs fid or kid'),
  ('generated', '', '--metrics=lpips', "'lpips' is not one of fid, sfid"),
  ('generated', '', '--save_features', 'there is no --save_statistics'),
  ('generated', '', '--save_statistics=a.txt', 'must end in .npz'),
  (
    *('generated', 'sizes.npz', '--save_statistics={folder}/sizes.npz'),
    'would overwrite --real',
  ),
)


LATE = (
  ('bad', '', '', '002.png in .* is not a picture that Pillow can read'),
  ('generated', 'sizes.npz', '', '6 and 3 features'),
  ('generated', 'negative.npz', '', 'not a covariance: its eigenvalues'),
)


def test_wrong_input_is_one_line_before_images_are_read(
  run, wrong, monkeypatch
):
  monkeypatch.setattr(reference, 'collect', lambda *_: pytest.fail('reads'))
  check_refusals(run, wrong, WRONG)


def test_what_only_the_images_show_is_one_line(run, wrong):
  check_refusals(run, wrong, LATE)


def check_refusals(run, wrong, cases):
  before = sorted(wrong.iterdir())
  for generated, real, flags, message in cases:
    sides = [f'--generated={at(wrong, generated)}']
    if real:
      sides.append(f'--real={at(wrong, real)}')
    error = run(*sides, *flags.format(folder=wrong).split())
    assert isinstance(error, str), (sides, flags)
    assert re.search(message, error), (sides, flags, error)
  assert sorted(wrong.iterdir()) == before


def at(folder, name):
  return name if name.startswith('tfds:') else f'{folder}/{name}'


def adm_file(folder, real):
  """A file of ADM: statistics of a whole set, and some of its images."""
  features = features_of(real).astype(float)
  spatial = features[:, :3] ** 2
  np.savez(
    folder / 'adm.npz',
    arr_0=real[:12],
    mu=features.mean(0).astype(np.float32),
    sigma=np.cov(features, rowvar=False),
    mu_s=spatial.mean(0).astype(np.float32),
    sigma_s=np.cov(spatial, rowvar=False),
  )


def test_from_a_file_of_adm_images_give_features_only(run, sides):
  folder, generated, real = sides
  adm_file(folder, real)
  report, err = run(
    f'--generated={folder}/generated', f'--real={folder}/adm.npz'
  )
  scores = report['scores']
  assert scores['fid']['value'] == pytest.approx(fid(generated, real), rel=1e-4)
  expected = generative.precision_recall(
    features_of(generated), features_of(real[:12])
  )
  found = scores['precision']['value'], scores['recall']['value']
  assert found == expected
  assert report['facts']['real_images_for_features'] == 12
  assert 'do not state their features, mode, weights' in err
  # Of a generated side as well, such as ADM's files of samples.
  report, _ = run(f'--generated={folder}/adm.npz', f'--real={folder}/real')
  assert report['scores']['fid']['value'] == pytest.approx(0, abs=1e-4)
  score, _ = generative.inception_score(features_of(real[:12]) * 3)
  assert report['scores']['is']['value'] == pytest.approx(score, rel=1e-5)
  assert report['facts']['generated_images_for_features'] == 12

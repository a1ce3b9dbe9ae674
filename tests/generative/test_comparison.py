"""The command, its images, and its files of statistics."""

import dataclasses
import io
import json
import pickle
import re
import zipfile

import numpy as np
from PIL import Image
import pytest

from inception import generative, paths
from inception.errors import UserError
from inception.generative import (
  __main__,
  extractor,
  image_sets,
  statistics_files,
)
from inception.generative.sample import Sample
from tests import test_odd_values
from tests.generative import recipe
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
    generative.read_statistics(paths.resolve(folder / f'{name}.npz'))
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
  assert scores['fid']['deviation'] > 0
  assert scores['kid_of_all']['deviation'] > 0
  assert report['facts']['generated_images'] == 12
  assert 'images are fewer' not in err


def test_jpegs_beside_other_pictures_are_reported(run, sides):
  folder, *_ = sides
  write_pictures(folder / 'jpeg', 3, 12, '.jpg')
  _, err = run(
    f'--generated={folder}/generated', f'--real={folder}/jpeg', '--metrics=fid'
  )
  assert 'FID also measures compression' in err


def test_wrong_input_is_one_line(run, sides, tmp_path):
  folder, *_ = sides
  where = f'--generated={folder}/generated'
  (tmp_path / 'none').mkdir()
  (tmp_path / 'none' / 'notes.txt').write_text('')
  bad = tmp_path / 'bad'
  write_pictures(bad, 3, 4)
  (bad / '002.png').write_bytes(b'no picture')
  one = tmp_path / 'one'
  write_pictures(one, 3, 1)
  np.save(tmp_path / 'two.npy', np.zeros((4, 8, 8, 2), np.uint8))
  np.save(tmp_path / 'float.npy', np.zeros((4, 8, 8, 3), np.float32))
  np.savez(tmp_path / 'keys.npz', a=np.zeros(3), b=np.zeros(3))
  np.savez(tmp_path / 'sizes.npz', mu=np.zeros(3), sigma=np.eye(3))
  np.savez(
    tmp_path / 'clean.npz', mu=np.zeros(6), sigma=np.eye(6), mode='clean'
  )
  np.savez(tmp_path / 'nan.npz', mu=np.zeros(6), sigma=np.eye(6) * np.nan)
  np.savez(tmp_path / 'skew.npz', mu=np.zeros(6), sigma=np.tri(6))
  for flags, message in (
    (['--generated=nowhere'], 'nowhere does not exist'),
    ([f'--generated={tmp_path}/none'], 'holds no pictures'),
    (
      [f'--generated={bad}'],
      '002.png in .* is not a picture that Pillow can read',
    ),
    ([f'--generated={one}'], 'at least two images, not 1'),
    ([f'--generated={tmp_path}/two.npy'], 'uint8 .4, 8, 8, 2.; images are'),
    ([f'--generated={tmp_path}/float.npy'], 'float32 .4, 8, 8, 3.; images'),
    (
      [f'--generated={tmp_path}/keys.npz'],
      'holds 2 arrays; store the images as arr_0',
    ),
    ([where, '--num_images=17'], 'num_images=17 is more than the 16 images'),
    ([where, f'--real={tmp_path}/sizes.npz'], '6 and 3 features'),
    ([where, f'--real={tmp_path}/clean.npz'], 'mode is tf1 .* clean'),
    ([where, f'--real={tmp_path}/nan.npz'], 'sigma holds NaN'),
    ([where, f'--real={tmp_path}/skew.npz'], 'sigma is not symmetric'),
    ([where, '--metrics=fid'], 'there are no real images'),
    ([where, '--metrics=lpips'], "metrics='lpips' is not one of fid, sfid"),
    ([where, '--save_features'], 'there is no --save_statistics'),
    ([where, '--save_statistics=a.txt'], 'must end in .npz'),
    (
      [where, f'--real={tmp_path}/sizes.npz', '--metrics=precision_recall'],
      'real side is statistics, without features',
    ),
    (
      [where, f'--real={folder}/real', '--metrics=kid'],
      'needs 1,000 images of a side, not 20',
    ),
    (['--generated=tfds:digits'], 'is not tfds:NAME:SPLIT'),
  ):
    error = run(*flags)
    assert isinstance(error, str), flags
    assert re.search(message, error), (flags, error)


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
  assert 'do not state their mode, feature, variables_sha256' in err


FEATURES = recipe.features('files', 30, 6)


def statistics():
  gaussian = generative.of_features(FEATURES)
  return gaussian.mean, gaussian.covariance


@pytest.mark.parametrize(
  'keys',
  [
    {'mu': 0, 'sigma': 1},
    {'ref_mu': 0, 'ref_sigma': 1},
    {'pool_3': FEATURES, 'logits': FEATURES},
    {'feats': FEATURES},
    {'reps': FEATURES},
  ],
)
def test_files_of_others_are_read(tmp_path, keys):
  path = paths.resolve(tmp_path / 'file.npz')
  arrays = {
    name: statistics()[value] if isinstance(value, int) else value
    for name, value in keys.items()
  }
  np.savez(path, **arrays)
  assert statistics_files.is_statistics(path)
  found = generative.read_statistics(path).gaussian
  np.testing.assert_allclose(found.mean, statistics()[0], rtol=1e-12)
  np.testing.assert_allclose(found.covariance, statistics()[1], rtol=1e-12)


@pytest.mark.parametrize('protocol', [2, 4, 5])
def test_a_pickle_of_edm2_is_read(tmp_path, protocol):
  path = paths.resolve(tmp_path / 'img512.pkl')
  mu, sigma = statistics()
  content = {
    'num_images': 30,
    'fid': {'mu': mu, 'sigma': sigma},
    'fd_dinov2': {'mu': mu[:2], 'sigma': np.eye(2)},
  }
  path.write_bytes(pickle.dumps(content, protocol))
  found = generative.read_statistics(path)
  np.testing.assert_array_equal(found.gaussian.mean, mu)
  np.testing.assert_array_equal(found.gaussian.covariance, sigma)
  assert found.count == 30


class _Harmful:
  def __reduce__(self):
    return exec, ('raise SystemExit("executed")',)


def test_a_pickle_runs_nothing(tmp_path):
  path = paths.resolve(tmp_path / 'harmful.pkl')
  path.write_bytes(pickle.dumps({'fid': {'mu': _Harmful(), 'x': np.eye(2)}}))
  with pytest.raises(
    UserError, match='it holds x; statistics are mu and sigma'
  ):
    generative.read_statistics(path)


def test_pytorch_fid_and_edm_read_our_file(tmp_path):
  """Their few lines: np.load, then two keys."""
  mu, sigma = statistics()
  sample = Sample(generative.of_features(FEATURES))
  path = paths.resolve(tmp_path / 'ours.npz')
  generative.write_statistics(path, sample)
  with np.load(path) as file:
    m, s = file['mu'][:], file['sigma'][:]
  np.testing.assert_array_equal(m, mu)
  np.testing.assert_array_equal(s, sigma)


def encoded(image, **how):
  content = io.BytesIO()
  image.save(content, **how)
  return content.getvalue()


@pytest.mark.parametrize(
  'mode', ['RGB', 'RGBA', 'LA', 'L', 'P', 'I;16', '1', 'CMYK', 'turned']
)
def test_pictures_are_pillows_rgb(tmp_path, mode):
  pixels = recipe.picture('modes', 33, 57)
  image = Image.fromarray(pixels)
  how = {'format': 'PNG'}
  if mode == 'I;16':
    image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
  elif mode in ('CMYK', 'turned'):
    how = {'format': 'JPEG', 'quality': 90}
    if mode == 'turned':
      exif = Image.Exif()
      exif[0x0112] = 6
      how['exif'] = exif
    else:
      image = image.convert(mode)
  else:
    image = image.convert(mode)
    if mode in ('RGBA', 'LA'):
      image.putalpha(Image.fromarray(pixels[..., 1]))
  (tmp_path / 'picture.png').write_bytes(encoded(image, **how))
  (found,) = image_sets.open_images(str(tmp_path)).images(range(1))
  with Image.open(tmp_path / 'picture.png') as file:
    expected = np.asarray(file.convert('RGB'))
  np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize('size', [(33, 57), (301, 450), (256, 256), (600, 64)])
def test_the_crop_is_adms(size):
  """Written as in ADM's image_datasets.py, center_crop_arr."""
  pixels = recipe.picture('crop', *size)
  side = 64
  image = Image.fromarray(pixels)
  while min(*image.size) >= 2 * side:
    image = image.resize(
      tuple(x // 2 for x in image.size), resample=Image.Resampling.BOX
    )
  scale = side / min(*image.size)
  image = image.resize(
    tuple(round(x * scale) for x in image.size),
    resample=Image.Resampling.BICUBIC,
  )
  array = np.array(image)
  y, x = ((length - side) // 2 for length in array.shape[:2])
  expected = array[y : y + side, x : x + side]
  np.testing.assert_array_equal(image_sets.adm_crop(pixels, side), expected)


def test_a_split_of_tfds_is_read():
  digits = image_sets.open_images('tfds:digits:test[:5]')
  assert digits.count == 5
  assert {x.shape for x in digits.images(range(5))} == {(8, 8, 3)}


def test_an_array_that_is_cut_off_is_refused(tmp_path):
  images = np.zeros((10, 8, 8, 3), np.uint8)
  np.save(tmp_path / 'images.npy', images)
  whole = (tmp_path / 'images.npy').read_bytes()
  (tmp_path / 'images.npy').write_bytes(whole[:-1])
  pictures = image_sets.open_images(str(tmp_path / 'images.npy'))
  with pytest.raises(UserError, match='images.npy is cut off'):
    list(pictures.images(range(10)))

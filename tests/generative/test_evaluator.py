"""Batches, devices and processes do not change the values of an evaluator."""

import dataclasses
import gc
import json
import subprocess
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception import generative
from inception.errors import UserError
from inception.generative import frechet
from inception.generative.collector import Collector
from inception.generative.generator_images import LocalBatch, ValueRange
from tests import waiting, warm
from tests.generative.cheap import (
  EXTRACTOR,
  IMAGES,
  MATRIX,
  METRICS,
  REAL,
  SHAPE,
  SIZE,
  features_of,
  project,
)


def make(**how):
  return generative.Evaluator(EXTRACTOR, REAL, **{'metrics': METRICS, **how})


def values(batches, **how):
  evaluator = make(**how)
  for batch in batches:
    evaluator.update(batch)
  return evaluator.compute()


def in_batches(images, size):
  return [images[start : start + size] for start in range(0, len(images), size)]


EXPECTED = values([IMAGES])


def assert_same(found):
  assert found == pytest.approx(EXPECTED, rel=1e-5)


def test_values_are_those_of_the_features():
  own = frechet.of_features(features_of(IMAGES))
  distance = frechet.frechet_distance(own, REAL.gaussian)
  assert EXPECTED['fid'] == pytest.approx(distance, rel=1e-6)
  precision, recall = generative.precision_recall(
    features_of(IMAGES), REAL.features
  )
  assert EXPECTED['precision'] == precision
  assert EXPECTED['recall'] == recall
  score, _ = generative.inception_score(features_of(IMAGES) * 3)
  assert EXPECTED['is'] == pytest.approx(score, rel=1e-6)


@pytest.mark.parametrize('size', [1, 7, 64])
def test_batches_do_not_matter(size):
  assert_same(values(in_batches(IMAGES, size)))


def test_arrays_of_a_pmap_and_of_a_mesh():
  whole, rest = IMAGES[:56], IMAGES[56:]
  mapped = jax.pmap(lambda x: x)(whole.reshape(4, 14, *SHAPE))
  assert_same(values([mapped, rest]))
  mesh = jax.sharding.Mesh(np.array(jax.devices()), ('batch',))
  sharding = jax.NamedSharding(mesh, jax.P('batch'))
  assert_same(values([jax.device_put(whole, sharding), rest]))
  assert_same(values([jnp.asarray(IMAGES)]))
  assert_same(values([list(IMAGES)]))


@pytest.mark.parametrize('form', ['host', 'mapped', 'sharded'])
def test_two_processes_compute_the_same(python, form):
  del python
  coordinator = f'localhost:{waiting.free_port()}'
  started = [
    subprocess.Popen(
      [
        *(warm.python(), '-m', 'tests.generative.processes'),
        *(coordinator, '2', str(index), form),
      ],
      cwd=warm.ROOT,
      env=waiting.environment(devices=2),
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )
    for index in range(2)
  ]
  for code, out, err in waiting.finish(started):
    assert code == 0, err
    assert_same(json.loads(out.splitlines()[-1]))


def test_what_exceeds_num_images_is_ignored():
  evaluator = make(num_images=13)
  assert evaluator.steps(4) == 4
  for batch in in_batches(IMAGES, 4)[:5]:
    evaluator.update(batch)
  assert evaluator.compute() == pytest.approx(values([IMAGES[:13]]), rel=1e-5)


def test_too_few_images_are_refused():
  with pytest.raises(UserError, match='num_images=1 must be at least 2'):
    make(num_images=1)
  with pytest.raises(UserError, match='batch_size=0 must be at least 1'):
    make(num_images=10).steps(0)
  evaluator = make(num_images=100)
  evaluator.update(IMAGES)
  with pytest.raises(UserError, match='num_images=100 .* but there are 61'):
    evaluator.compute()


def test_reset_and_merge():
  one, other = make(), make()
  one.update(IMAGES[:5])
  one.reset()
  one.update(IMAGES[:40])
  other.update(IMAGES[40:])
  one.merge(other)
  assert_same(one.compute())
  # Of samplers that share the images, each has only some.
  whole, part = make(num_images=61), make(num_images=61)
  part.update(IMAGES)
  whole.merge(part)
  assert_same(whole.compute())


def test_without_a_reference_there_is_only_inception_score():
  evaluator = generative.Evaluator(EXTRACTOR)
  evaluator.update(IMAGES)
  assert evaluator.compute().keys() == {'is', 'is_std'}
  with pytest.raises(
    UserError, match='fid cannot be computed: there are no re'
  ):
    generative.Evaluator(EXTRACTOR, metrics=['fid'])


def test_default_metrics_are_those_that_both_sides_allow():
  evaluator = generative.Evaluator(EXTRACTOR, REAL)
  evaluator.update(IMAGES)
  found = evaluator.compute()
  assert {'fid', 'sfid', 'is', 'precision', 'recall'} <= found.keys()
  assert 'kid' not in found  # Fewer images than a subset.


@pytest.mark.parametrize(
  ('rounding', 'expected'), [('round', 100), ('truncate', 99), ('none', 99.6)]
)
def test_floats_are_rounded_as_asked(rounding, expected):
  x = jnp.array([[[99.6 / 127.5 - 1]]])
  pixels = ValueRange(-1, 1, rounding).to_pixels(x)
  assert pixels.shape == (1, 1, 3)
  assert float(pixels[0, 0, 0]) == pytest.approx(expected, abs=1e-3)


def test_floats_give_the_values_of_their_pixels():
  floats = IMAGES.astype(np.float32) / 127.5 - 1
  assert_same(values([floats]))
  assert_same(values([IMAGES / np.float32(255)], value_range=(0, 1)))
  beyond = np.where(floats > 0.9, 1.5, np.where(floats < -0.9, -1.5, floats))
  clipped = np.clip(beyond, -1, 1)
  assert values([beyond]) == values([clipped])


def test_gray_images_are_repeated():
  gray = IMAGES[..., :1]
  repeated = np.repeat(gray, 3, -1)
  assert values([gray]) == values([repeated])


@pytest.mark.parametrize(
  ('images', 'message'),
  [
    (IMAGES[..., :2], 'with 1 or 3 channels'),
    (IMAGES[0], 'are not .batch, height, width, 3'),
    (IMAGES.astype(np.int32), 'int32 are neither uint8 nor floats'),
    (IMAGES.astype(np.float32), 'are outside value_range'),
    (np.full((2, *SHAPE), np.nan, np.float32), 'hold NaN'),
  ],
)
def test_images_that_are_none_are_refused(images, message):
  with pytest.raises(UserError, match=message):
    make().update(images)


@pytest.mark.parametrize('spoiled', [np.nan, np.inf, -np.inf])
def test_nan_in_a_later_batch_is_refused(spoiled):
  evaluator = make()
  floats = IMAGES.astype(np.float32) / 127.5 - 1
  evaluator.update(floats)
  evaluator.update(np.where(floats > 0.99, spoiled, floats))
  with pytest.raises(UserError, match='features are not finite'):
    evaluator.compute()


def test_a_likely_wrong_range_is_reported(capsys):
  make().update(IMAGES / np.float32(255))
  assert 'set value_range=(0, 1)' in capsys.readouterr().err
  floats = IMAGES / np.float32(255) * 1.3 - 0.3
  make(value_range=(0, 1)).update(floats)
  assert 'set value_range=(-1, 1)' in capsys.readouterr().err
  few_bright = np.where(IMAGES > 240, np.float32(250), np.float32(0))
  with pytest.raises(UserError, match='from 0 to 250, are outside'):
    make().update(few_bright)


def test_few_images_are_reported(capsys):
  values([IMAGES[:5]], metrics=['fid'])
  said = '5 generated images for 6 features: FID is far too large'
  assert said in capsys.readouterr().err
  values([IMAGES[:5]], metrics=['mind'])
  assert 'too large' not in capsys.readouterr().err


def test_an_evaluator_is_not_kept():
  """A program that held it would keep its variables and features for good."""
  evaluator = make()
  evaluator.update(IMAGES)
  evaluator.compute()
  kept = weakref.ref(evaluator._collector)
  del evaluator
  gc.collect()
  assert kept() is None


@pytest.mark.parametrize(
  ('how', 'message'),
  [
    ({'metrics': 'fid'}, "metrics='fid' must be names"),
    ({'choices': generative.Choices(bootstrap=9), 'metrics': ['is']}, 'or kid'),
    ({'metrics': ['kid'], 'num_images': 9}, 'needs 1,000 images .* not 9'),
    ({'metrics': ['kid'], 'num_images': 2000}, 'needs 1,000 images .* not 50'),
  ],
)
def test_metrics_that_cannot_be_computed_are_refused(how, message):
  with pytest.raises(UserError, match=message):
    make(**how)


def test_standard_errors_need_only_be_asked_for():
  found = values(
    [IMAGES], metrics=['fid'], choices=generative.Choices(bootstrap=9)
  )
  assert found.keys() >= {'fid', 'fid_error'}


def test_sides_made_differently_are_refused():
  real = dataclasses.replace(REAL, facts={'mode': 'clean'})
  one = dataclasses.replace(EXTRACTOR, facts={'mode': 'tf1'})
  with pytest.raises(UserError, match='mode is tf1 for one and clean'):
    generative.Evaluator(one, real)


def test_inside_a_jitted_function():
  """One's own sampler adds features without leaving the device."""

  @jax.jit
  def step(state, images):
    return generative.add(state, project(MATRIX, images))

  state = generative.empty(SIZE)
  for batch in in_batches(IMAGES, 20):
    state = step(state, batch)
  distance = generative.frechet_distance(
    generative.to_gaussian(state), REAL.gaussian
  )
  assert distance == pytest.approx(EXPECTED['fid'], rel=1e-6)


def test_a_process_takes_its_share_of_images_on_disk():
  """Rows are those of all images, so their order is known at the end."""
  collector = Collector(EXTRACTOR, keep=['features'])
  rows = np.array([[4], [0], [2], [6]])
  images = IMAGES[[4, 0, 2, 6]].reshape(4, 1, *SHAPE)
  collector.take(LocalBatch(images, rows, 0))
  features = collector.sample().features
  np.testing.assert_allclose(features, features_of(IMAGES[:7:2]), atol=1e-5)


def test_the_callers_array_may_be_filled_again():
  """The devices read it later, and on CPUs share its memory."""
  buffer = np.empty((20, *SHAPE), np.uint8)
  evaluator = make()
  for batch in in_batches(IMAGES[:60], 20):
    buffer[:] = batch
    evaluator.update(buffer)
  assert evaluator.compute() == pytest.approx(values([IMAGES[:60]]), rel=1e-5)


def test_other_features_see_floats():
  """Arithmetic of bytes would wrap."""
  seen = []

  def function(variables, images):
    seen.append(images.dtype)
    return project(MATRIX, images - 128.0)

  evaluator = generative.Evaluator(generative.custom('x', function), REAL)
  evaluator.update(IMAGES)
  evaluator.compute()
  assert set(seen) == {jnp.dtype('float32')}


def test_other_features_of_a_wrong_shape_are_refused():
  grid = generative.custom('grid', lambda _, images: images)
  with pytest.raises(UserError, match='of grid must return .batch, features'):
    generative.Evaluator(grid, REAL).update(IMAGES)


def test_other_features_need_only_a_function(tmp_path):
  np.save(tmp_path / 'images.npy', IMAGES)
  other = generative.custom('projection', project, MATRIX)
  found = generative.read(
    tmp_path / 'images.npy', other, ['features'], batch_size=20
  )
  assert found.facts['feature'] == 'projection'
  np.testing.assert_allclose(found.features, features_of(IMAGES), atol=1e-5)

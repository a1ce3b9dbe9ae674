"""Batches, devices and processes do not change the values of an evaluator."""

import dataclasses
import gc
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception import generative
from inception.errors import UserError
from inception.generative import frechet
from tests.generative.cheap import (
  EXTRACTOR,
  IMAGES,
  MATRIX,
  METRICS,
  REAL,
  SHAPE,
  SIZE,
  assert_expected,
  expected,
  features_of,
  make,
  project,
  values,
)


def in_batches(images, size):
  return [images[start : start + size] for start in range(0, len(images), size)]


def test_values_are_those_of_the_features():
  own = frechet.of_features(features_of(IMAGES))
  distance = frechet.frechet_distance(own, REAL.gaussian)
  assert expected()['fid'] == pytest.approx(distance, rel=1e-6)
  precision, recall = generative.precision_recall(
    features_of(IMAGES), REAL.features
  )
  assert expected()['precision'] == precision
  assert expected()['recall'] == recall
  score, _ = generative.inception_score(features_of(IMAGES) * 3)
  assert expected()['is'] == pytest.approx(score, rel=1e-6)
  spatial = frechet.of_features(features_of(IMAGES)[:, :3] ** 2)
  distance = frechet.frechet_distance(spatial, REAL.spatial)
  assert expected()['sfid'] == pytest.approx(distance, rel=1e-5)
  mind = generative.monge_distance(features_of(IMAGES), REAL.features)
  assert expected()['mind'] == pytest.approx(mind, rel=1e-5)
  halves = (frechet.of_features(features_of(IMAGES[i::2])) for i in range(2))
  bias = frechet.bias(tuple(halves), (61, 50))
  assert expected()['fid_bias'] == pytest.approx(bias, rel=1e-5)


@pytest.mark.parametrize('size', [1, 7, 64])
def test_batches_do_not_matter(size):
  assert_expected(values(in_batches(IMAGES, size)))


def test_arrays_of_a_pmap_and_of_a_mesh():
  whole, rest = IMAGES[:56], IMAGES[56:]
  mapped = jax.pmap(lambda x: x)(whole.reshape(4, 14, *SHAPE))
  assert_expected(values([mapped, rest]))
  mesh = jax.sharding.Mesh(np.array(jax.devices()), ('batch',))
  sharding = jax.NamedSharding(mesh, jax.P('batch'))
  assert_expected(values([jax.device_put(whole, sharding), rest]))
  assert_expected(values([jnp.asarray(IMAGES)]))
  assert_expected(values([list(IMAGES)]))


def test_what_exceeds_num_images_is_ignored():
  evaluator = make(num_images=13)
  assert evaluator.steps(4) == 4
  for batch in in_batches(IMAGES, 4)[:5]:
    evaluator.update(batch)
  assert evaluator.compute() == pytest.approx(values([IMAGES[:13]]), rel=1e-5)


def test_too_few_images_are_refused():
  with pytest.raises(UserError, match='num_images=1 must be a whole'):
    make(num_images=1)
  with pytest.raises(UserError, match='batch_size=0 must be a whole'):
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
  assert_expected(one.compute())
  # Of samplers that share the images, each has only some.
  whole, part = make(num_images=61), make(num_images=61)
  part.update(IMAGES)
  whole.merge(part)
  assert_expected(whole.compute())


def test_merge_takes_one_image_but_no_other_settings():
  one, other = make(), make()
  one.update(IMAGES[:1])
  other.update(IMAGES[1:])
  one.merge(other)
  # The halves for the bias are other ones.
  assert_expected({**one.compute(), 'fid_bias': expected()['fid_bias']})
  for how in ({'rounding': 'none'}, {'metrics': ['fid']}):
    with pytest.raises(UserError, match='other metrics, or another value_ran'):
      one.merge(make(**how))


def test_a_reference_may_be_a_file(tmp_path):
  extractor = generative.custom('projection', project, MATRIX)
  np.save(tmp_path / 'real.npy', 255 - IMAGES[:50])
  real = generative.read(tmp_path / 'real.npy', extractor, ['features'])
  generative.write_statistics(tmp_path / 'real.npz', real)
  for name in ('real.npy', 'real.npz'):
    evaluator = generative.Evaluator(
      extractor, tmp_path / name, metrics=['fid', 'precision_recall']
    )
    evaluator.update(IMAGES)
    found = evaluator.compute()
    assert found == pytest.approx(
      {name: expected()[name] for name in found}, rel=1e-5
    )


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


@pytest.mark.parametrize('spoiled', [np.nan, np.inf, -np.inf])
def test_nan_in_a_later_batch_is_refused(spoiled):
  evaluator = make()
  floats = IMAGES.astype(np.float32) / 127.5 - 1
  evaluator.update(floats)
  evaluator.update(np.where(floats > 0.99, spoiled, floats))
  with pytest.raises(UserError, match='features are not finite'):
    evaluator.compute()


def test_few_images_are_reported(capsys):
  values([IMAGES[:5]], metrics=['fid'])
  said = '5 generated images for 6 features: FID is far too large'
  assert said in capsys.readouterr().err
  values([IMAGES[:5]], metrics=['mind'])
  assert 'too large' not in capsys.readouterr().err


def test_the_callers_mesh_does_not_matter():
  """Also not for images that are sharded over it."""
  mesh = jax.make_mesh((4,), ('batch',))
  with jax.set_mesh(mesh):
    images = jax.device_put(
      IMAGES[:56], jax.NamedSharding(mesh, jax.P('batch'))
    )
    floats = jax.jit(lambda x: x / jnp.float32(127.5) - 1)(images)
    assert_expected(values([floats, IMAGES[56:]], metrics=iter(METRICS)))


@pytest.mark.parametrize('reference', [IMAGES, REAL.gaussian, EXTRACTOR])
def test_a_reference_of_another_kind_is_refused(reference):
  with pytest.raises(UserError, match='give a path, or a Sample'):
    generative.Evaluator(EXTRACTOR, reference)


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
    ({'metrics': 'fid'}, "metrics='fid' must be a list of names"),
    ({'metrics': 5}, 'metrics=5 must be a list of names'),
    ({'choices': {'bootstrap': 3}}, 'choices must be generative.Choices'),
    ({'value_range': 5}, 'value_range=5 is not'),
    ({'num_images': '20'}, "num_images='20' must be a whole number"),
    ({'choices': generative.Choices(bootstrap=9), 'metrics': ['is']}, 'or kid'),
    (
      {'metrics': ['kid'], 'num_images': 9},
      'needs 1,000 images per side, not 9',
    ),
    (
      {'metrics': ['kid'], 'num_images': 2000},
      'needs 1,000 images per side, not 50',
    ),
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
  with pytest.raises(
    UserError, match='mode of the two sides differ: tf1 and clean'
  ):
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
  assert distance == pytest.approx(expected()['fid'], rel=1e-6)


def test_the_callers_array_may_be_filled_again():
  """The devices read it later, and on CPUs share its memory."""
  buffer = np.empty((20, *SHAPE), np.uint8)
  evaluator = make()
  for batch in in_batches(IMAGES[:60], 20):
    buffer[:] = batch
    evaluator.update(buffer)
  assert evaluator.compute() == pytest.approx(values([IMAGES[:60]]), rel=1e-5)

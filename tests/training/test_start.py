"""Training from pretrained weights: new heads, frozen stages, refusals."""

import functools
import shutil

import jax
import numpy as np
from PIL import Image
import pytest
from sklearn import datasets

from inception.checkpoints.reading import Checkpoint
from inception.checkpoints.restore import Loaded, load_variables
from inception.checkpoints.store import Checkpoints
from inception.errors import UserError
from inception.evaluation.workdir import open_workdir
from inception.training import loop, start
from inception.training.build import build
from tests.tiny import get_config

ONE = jax.devices()[:1]


def small_digits(root):
  """Writes the digits 0 to 4 of the training half as a folder of images."""
  images = datasets.load_digits()
  for i, (pixels, label) in enumerate(zip(images.images, images.target)):
    if label < 5 and i < 900:
      split = 'val' if i % 10 == 0 else 'train'
      folder = root / split / str(label)
      folder.mkdir(parents=True, exist_ok=True)
      Image.fromarray(np.uint8(pixels * 15)).save(folder / f'{i}.png')
  return root


def assert_same(a, b):
  jax.tree.map(np.testing.assert_array_equal, a, b)


def pretrain(root, num_steps):
  """Trains a network on the digits 0 to 4; returns its workdir."""
  small = get_config()
  small.data.dataset = 'folder'
  small.data.data_dir = str(small_digits(root / 'small'))
  small.data.eval_split = 'val'
  small.data.mean, small.data.std = (60.0,) * 3, (100.0,) * 3
  small.schedule.base_learning_rate = 3.0
  small.num_steps = num_steps
  small.seed = 1  # Other initial weights than in a run that starts here.
  small.log_every_steps = 500
  loop.train(small, root / 'run', ONE)
  return root / 'run'


@pytest.fixture(scope='module')
def pretrained_workdir(tmp_path_factory):
  """A workdir with weights."""
  return pretrain(tmp_path_factory.mktemp('pretrained'), 4)


@pytest.fixture
def pretrained(config, pretrained_workdir, tmp_path):
  """A config that starts from a copy of these weights."""
  workdir = shutil.copytree(pretrained_workdir, tmp_path / 'pretrained')
  config.pretrained = str(workdir)
  return config


@pytest.mark.slow
def test_fine_tuning_beats_training_from_scratch_at_equal_steps(
  config, tmp_path
):
  config.pretrained = str(pretrain(tmp_path / 'pretrained', 1000))
  config.num_steps = 100
  config.log_every_steps = 100
  config.schedule.base_learning_rate = 3.0
  config.schedule.warmup_epochs = 0.0
  config.data.eval_split = 'test'
  loop.train(config, tmp_path / 'tuned', ONE)
  config.pretrained = None
  loop.train(config, tmp_path / 'scratch', ONE)
  tuned, scratch = (
    open_workdir(tmp_path / name, devices=ONE).results()
    for name in ('tuned', 'scratch')
  )
  assert tuned['top1'] > scratch['top1'] + 0.1
  assert tuned['loss'] < scratch['loss']


def test_training_starts_from_the_weights_but_a_new_head(pretrained, tmp_path):
  state = loop.train(pretrained, tmp_path / 'tuned', ONE, stop_at_step=1)
  state = jax.device_get(state)
  given = load_variables(tmp_path / 'pretrained').variables['params']

  def assert_near(ours, theirs):
    # The first step is as small as its learning rate.
    close = functools.partial(np.testing.assert_allclose, atol=2e-3)
    jax.tree.map(close, ours, theirs)

  for scope in ('Conv2d_1a_3x3', 'Mixed_2b'):
    assert_near(state.params[scope], given[scope])
  kernel = state.params['Logits']['Logits']['kernel']
  assert kernel.shape == (16, 10)
  assert given['Logits']['Logits']['kernel'].shape == (16, 5)
  assert_near(
    state.params['AuxLogits_2b']['Conv2d_0a_1x1'],
    given['AuxLogits_2b']['Conv2d_0a_1x1'],
  )
  # Images are preprocessed as the weights expect.
  saved = Checkpoints(tmp_path / 'tuned').load(1).config
  assert list(saved.data.mean) == [60.0] * 3
  assert list(saved.data.std) == [100.0] * 3


def test_frozen_stages_stay_and_a_run_resumes(pretrained, tmp_path):
  config = pretrained
  config.freeze_through = 'Conv2d_1a_3x3'
  config.num_steps = 4
  config.schedule.warmup_epochs = 0.0
  whole = jax.device_get(loop.train(config, tmp_path / 'whole', ONE))
  loop.train(config, tmp_path / 'broken', ONE, stop_at_step=2)
  broken = jax.device_get(loop.train(config, tmp_path / 'broken', ONE))
  assert jax.tree.structure(whole) == jax.tree.structure(broken)
  assert_same(whole, broken)
  given = load_variables(tmp_path / 'pretrained').variables
  for kind in ('params', 'batch_stats'):
    ours = getattr(whole, kind)
    assert_same(ours['Conv2d_1a_3x3'], given[kind]['Conv2d_1a_3x3'])
    moved = jax.tree.map(
      np.array_equal, ours['Mixed_2b'], given[kind]['Mixed_2b']
    )
    assert not any(jax.tree.leaves(moved))
  # An average of equal numbers, up to rounding.
  jax.tree.map(
    functools.partial(np.testing.assert_allclose, rtol=1e-6),
    whole.ema['params']['Conv2d_1a_3x3'],
    whole.params['Conv2d_1a_3x3'],
  )


def test_only_weights_give_a_resumed_run_its_mean(config, tmp_path):
  config.data.mean = (1.0, 2.0, 3.0)
  loop.train(config, tmp_path, ONE, stop_at_step=1)
  config.data.mean = None
  with pytest.raises(UserError, match='data.mean'):
    loop.train(config, tmp_path, ONE)


def test_heads_are_replaced_layer_by_layer(config):
  config.model.num_classes = 10
  training = build(config, ONE, num_examples=100)
  state = training.initial_state()
  weights = jax.device_get(
    {'params': state.params, 'batch_stats': state.batch_stats}
  )
  convolution = weights['params']['AuxLogits_2b']['Conv2d_0a_1x1']
  convolution['kernel'] = np.zeros((5, 5, 16, 8), np.float32)
  convolution['BatchNorm']['bias'] = np.full(8, 3.0, np.float32)
  taken, new = start.take_pretrained(state, weights, training.model)
  assert new == ['AuxLogits_2b/Conv2d_0a_1x1']
  bias = taken.params['AuxLogits_2b']['Conv2d_0a_1x1']['BatchNorm']['bias']
  np.testing.assert_array_equal(bias, np.zeros(8))


def test_a_run_resumes_without_the_pretrained_weights(pretrained, tmp_path):
  loop.train(pretrained, tmp_path / 'tuned', ONE, stop_at_step=1)
  (tmp_path / 'pretrained').rename(tmp_path / 'moved')
  state = loop.train(pretrained, tmp_path / 'tuned', ONE, stop_at_step=2)
  assert int(state.step) == 2


def test_batch_norm_without_scale_gets_a_scale_of_ones(config):
  config.model.num_classes = 10
  training = build(config, ONE, num_examples=100)
  state = training.initial_state()
  weights = jax.device_get(
    {'params': state.params, 'batch_stats': state.batch_stats}
  )
  norm = weights['params']['Conv2d_1a_3x3']['BatchNorm']
  del norm['scale']
  norm['bias'] = norm['bias'] + 3
  taken, new = start.take_pretrained(state, weights, training.model)
  assert new == []
  found = taken.params['Conv2d_1a_3x3']['BatchNorm']
  np.testing.assert_array_equal(found['scale'], np.ones(8))
  np.testing.assert_array_equal(found['bias'], np.full(8, 3.0))
  # A scale is never discarded.
  config.model.batch_norm_scale = False
  bare = build(config, ONE, num_examples=100)
  with pytest.raises(UserError, match='BatchNorm/scale.*batch_norm_scale'):
    start.take_pretrained(bare.initial_state(), weights, bare.model)


def test_weights_that_do_not_fit_are_refused(pretrained, tmp_path):
  config = pretrained
  config.model.width = 2.0
  with pytest.raises(UserError, match=r'bias .*\(16,\).*\(8,\)'):
    loop.train(config, tmp_path / 'a', ONE)
  config.model.width = 1.0
  config.model.architecture = 'inception_v1'
  config.data.image_size = 32
  with pytest.raises(UserError, match='tiny.*inception_v1'):
    loop.train(config, tmp_path / 'b', ONE)
  config.model.architecture = 'tiny'
  config.data.channel_order = 'BGR'
  with pytest.raises(UserError, match='channel_order=RGB'):
    loop.train(config, tmp_path / 'c', ONE)
  config.pretrained = str(tmp_path / 'nowhere')
  with pytest.raises(UserError, match='nowhere does not exist'):
    loop.train(config, tmp_path / 'd', ONE)


def test_unset_mean_comes_from_the_transform_of_the_weights_but_not_on_resume(
  config,
):
  config.pretrained = 'weights'
  config.data.eval_transform = 'fid'
  fresh = start.Start(None, Loaded(0, {}, config)).weights_config
  assert fresh.data.mean == fresh.data.std == (128.0,) * 3
  resumed = start.Start(Checkpoint(1, {}, config, {}, {}), None).weights_config
  assert resumed.data.mean is None and resumed.data.std is None

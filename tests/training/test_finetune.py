"""What makes fine-tuning work on the first try."""

import dataclasses
import importlib.util
import pathlib
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from inception import load_pretrained
from inception.checkpoints.restore import load_config
from inception.config.checks import type_of
from inception.data.sources import folder
from inception.data.sources.source import class_counts, with_classes
from inception.errors import UserError
from inception.modules.network import Outputs
from inception.paths import resolve as resolve_path
from inception.training import loop, memory, resolve
from inception.training.build import build
from inception.training.follow import FOLLOWED
from inception.training.patience import Patience
from inception.training.recipe import losses
from inception.training.recipe.optimizer import make_optimizer
from tests.runs import ONE, rows

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
  from tests import tiny

  folder_ = tmp_path_factory.mktemp('weights')
  config = tiny.get_config()
  config.model.architecture = 'tiniest'
  config.data.image_size, config.num_steps = 24, 1
  config.data.eval_transform, config.data.crop_pct = 'torchvision', 0.6
  loop.train(config, folder_, ONE)
  return folder_


@pytest.fixture
def finetune(weights, image_folder):
  """configs/finetune.py for the weights and a folder of 13 images."""
  path = ROOT / 'configs/finetune.py'
  spec = importlib.util.spec_from_file_location('finetune', path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  config = module.get_config()
  config.pretrained = str(weights)
  config.data.data_dir = str(image_folder)
  config.batch_size, config.num_steps = 4, 3
  return config


def test_network_and_preprocessing_come_from_the_weights(
  finetune, weights, tmp_path
):
  copy = shutil.copytree(weights, tmp_path / 'weights')
  finetune.pretrained = str(copy)
  loop.train(finetune, tmp_path / 'run', ONE, stop_at_step=1)
  found = load_config(resolve_path(tmp_path / 'run'))
  assert found.model.architecture == 'tiniest'
  assert found.data.image_size == 24
  assert found.data.eval_transform == 'torchvision'
  assert found.data.channel_order == 'RGB'
  assert (found.data.crop_pct, found.model.head_pooling) == (0.6, 'average')
  assert found.model.batch_norm_decay == 0.5  # Three steps.
  assert found.data.class_names == ['cat', 'dog']
  shutil.rmtree(copy)  # A resumed run has its own record.
  loop.train(finetune, tmp_path / 'run', ONE)
  prediction = load_pretrained(tmp_path / 'run').predict(
    [finetune.data.data_dir + '/val/cat/0.png']
  )[0]
  assert set(prediction.classes) == {'cat', 'dog'}


def test_an_added_picture_is_reported_and_may_be_used(finetune, tmp_path):
  finetune.num_steps, finetune.num_epochs = None, 12.0  # 39, then 42 steps.
  loop.train(finetune, tmp_path / 'run', ONE, stop_at_step=1)
  folder_ = pathlib.Path(finetune.data.data_dir) / 'train' / 'cat'
  shutil.copy(folder_ / '0.png', folder_ / 'new.png')
  with pytest.raises(UserError, match='13 .* 14'):
    loop.train(finetune, tmp_path / 'run', ONE)
  finetune.data.on_change = 'continue'
  loop.train(finetune, tmp_path / 'run', ONE, stop_at_step=2)
  decay = load_config(resolve_path(tmp_path / 'run')).model.batch_norm_decay
  assert decay == pytest.approx(1 - 10 / 39)


def test_pictures_may_be_moved(finetune, tmp_path):
  loop.train(finetune, tmp_path / 'run', ONE, stop_at_step=1)
  shutil.move(finetune.data.data_dir, tmp_path / 'moved')
  finetune.data.data_dir = str(tmp_path / 'moved')
  assert loop.train(finetune, tmp_path / 'run', ONE, stop_at_step=2).step == 2


def test_fields_of_the_weights_can_be_set_on_the_command_line(finetune):
  for name in FOLLOWED:
    section, field = name.split('.')
    assert finetune[section][field] is None
    assert finetune[section].get_oneway_ref(field).get_type() is type_of(name)


def test_without_weights_it_says_what_is_missing(finetune, tmp_path):
  finetune.pretrained = None
  with pytest.raises(
    UserError, match='model.architecture .*--config.pretrained='
  ):
    loop.train(finetune, tmp_path, ONE)


@pytest.mark.parametrize(
  'steps, decay', [(3, 0.5), (45, 1 - 10 / 45), (1000, 0.99), (10**6, 0.99)]
)
def test_statistics_forget_within_a_tenth_of_a_run(steps, decay):
  assert resolve.batch_norm_decay(steps) == pytest.approx(decay)


@pytest.mark.parametrize('name', ['sgd', 'rmsprop'])
def test_the_trunk_learns_slower_than_the_heads(config, name):
  config.optimizer.name = name
  config.optimizer.weight_decay = 0.0
  params = {k: {'kernel': jnp.ones(3)} for k in ('Mixed_2b', 'Logits', 'Aux')}
  grads = jax.tree.map(lambda x: 0.5 * x, params)

  def updates(rate, factor):
    config.optimizer.trunk_learning_rate = factor
    optimizer = make_optimizer(config.optimizer, rate, heads=('Logits', 'Aux'))
    state = optimizer.init(params)
    for _ in range(2):  # With momentum.
      found, state = optimizer.update(grads, state, params)
    return found

  slow, usual, tenth = updates(1.0, 0.1), updates(1.0, 1.0), updates(0.1, 1.0)
  for head in ('Logits', 'Aux'):
    np.testing.assert_allclose(slow[head]['kernel'], usual[head]['kernel'])
  np.testing.assert_allclose(
    slow['Mixed_2b']['kernel'], tenth['Mixed_2b']['kernel'], rtol=1e-6
  )


def test_balanced_classes_weigh_the_same(config):
  counts = np.array([1, 3, 0, 4])
  weights = losses.CLASS_WEIGHTS['balanced'](counts)
  np.testing.assert_allclose(weights * counts, [8 / 3, 8 / 3, 0, 8 / 3])
  generator = np.random.default_rng(0)
  logits = jnp.asarray(generator.normal(size=(8, 4)), jnp.float32)
  labels = np.repeat(np.arange(4), counts)
  config.loss.label_smoothing = 0.0
  loss = losses.training_loss(
    Outputs(logits), jax.nn.one_hot(labels, 4), config.loss, weights
  )
  each = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
  means = [each[labels == label].mean() for label in (0, 1, 3)]
  assert float(loss) == pytest.approx(float(np.mean(means)), rel=1e-6)


def test_labels_are_counted_with_and_without_reading(config, image_folder):
  config.data.data_dir = str(image_folder)
  source = folder.open_split(config.data, 'train')
  assert class_counts(source).tolist() == [6, 7]
  swapped = with_classes(source, ('dog', 'emu', 'cat'))
  assert class_counts(swapped).tolist() == [7, 0, 6]
  unknown = dataclasses.replace(swapped, labels=None)
  assert class_counts(unknown).tolist() == [7, 0, 6]


def test_patience_counts_evaluations_without_a_better_one():
  patience = Patience(2, enumerate([0.1, 0.5, 0.4], 1))
  assert not patience.exhausted
  patience.add(4, 0.5)  # Equal is not better.
  assert patience.exhausted
  assert not Patience(2, enumerate([0.1, 0.5, 0.4, 0.6, 0.5], 1)).exhausted
  assert not Patience(None, enumerate([0.5] * 99, 1)).exhausted


def test_patience_does_not_depend_on_the_log():
  whole = Patience(2, [(10, 0.5), (20, 0.9), (30, 0.8)])
  # The checkpoint at 30 was saved before its evaluation.
  saved = Patience(2, [(10, 0.5), (20, 0.9)]).state
  for logged in ([], [(30, 0.8)], [(20, 0.9), (30, 0.8)]):
    resumed = Patience(2, logged, saved)
    resumed.add(30, 0.8)  # Repeated if it is missing in the log.
    assert resumed.state == whole.state
    resumed.add(40, 0.7)
    assert resumed.exhausted


def test_a_run_that_no_longer_improves_ends_and_stays_ended(
  config, tmp_path, capsys
):
  config.model.architecture = 'tiniest'
  config.eval_every_epochs = 16 / 1437  # One step.
  config.early_stopping_patience = 2
  config.schedule.base_learning_rate = 1e-6
  config.optimizer.ema_decay = None
  config.num_steps = 40
  loop.train(config, tmp_path, ONE)
  evaluated = [r for r in rows(tmp_path) if r['split'] != 'train']
  top1 = [r['top1'] for r in evaluated]
  assert len(top1) < 40 and max(top1[-2:]) <= max(top1[:-2])
  assert 'stopped early at step' in capsys.readouterr().out
  state = loop.train(config, tmp_path, ONE)
  assert int(state.step) == evaluated[-1]['step']
  assert 'stopped early' in capsys.readouterr().out


def test_a_batch_that_clearly_does_not_fit_is_refused(config):
  config.model.num_classes = 10
  training = build(config, ONE, 100)
  memory.check_memory(training, available=10**9)
  with pytest.raises(UserError, match='batch_size=16'):
    memory.check_memory(training, available=1000)
  config.batch_size = 4096
  training = build(config, ONE, 100)
  with pytest.raises(UserError, match=r'config.batch_size=\d+ should') as error:
    memory.check_memory(training, available=2 * 10**7)
  config.batch_size = int(str(error.value).split('batch_size=')[2].split()[0])
  memory.check_memory(build(config, ONE, 100), available=2 * 10**7)


def test_frozen_stages_take_no_memory_for_gradients(config):
  config.model.num_classes, config.batch_size = 10, 4096
  state = 2**20
  config.freeze_through, config.pretrained = 'Mixed_2b', 'weights'
  memory.check_memory(build(config, ONE, 100), available=state)
  config.freeze_through = None
  with pytest.raises(UserError, match='batch_size=4096'):
    memory.check_memory(build(config, ONE, 100), available=state)


def test_free_memory_is_known_here():
  assert 2**20 < memory.available_bytes(ONE) < 2**45

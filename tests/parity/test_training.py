"""Ten training steps here against the same ten steps of torchvision and Keras.

The golden files hold the peers' losses and, for every tensor, how far it moved
and in which direction. `make parity` regenerates them.
"""

import collections
import dataclasses
import math
import os
import pathlib
import re

from flax import traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception import get_architecture
from inception.config import default
from inception.pretrained import conversion
from inception.pretrained.projects import PROJECTS
from inception.pretrained.tensors import network_layers
from inception.processes import distributed
from inception.spec import unroll
from inception.training import build as builds
from inception.training.recipe.state import TrainState
from inception.training.recipe.step import make_train_step
from tests.parity import trajectory

GOLDEN = pathlib.Path(__file__).parent / 'golden'
FOLDER = pathlib.Path(os.environ.get('PARITY_FOLDER', GOLDEN))

# Largest relative differences of a loss and, by kind of tensor, of a movement.
# Gradients differ more than losses, because rounding decides which units near
# zero a ReLU cuts off. Parameters of batch norm move least of all.
LOSS = 1e-3
STATISTICS = 2e-3
BATCH_NORM = 0.2
KERNELS = 0.1


def make_config(recipe, weights):
  config = default.get_config()
  config.batch_size = recipe.batch_size
  config.model.architecture = weights.architecture
  config.model.num_classes = weights.num_classes
  config.model.aux_heads = weights.with_aux
  config.model.batch_norm_scale = weights.batch_norm_scale
  config.model.batch_norm_decay = recipe.batch_norm_decay
  config.model.dropout = 0.0
  config.data.image_size = recipe.size
  config.data.flip = False
  config.loss.label_smoothing = trajectory.LABEL_SMOOTHING
  config.loss.aux_weight = recipe.aux_weight
  config.optimizer.name = recipe.optimizer
  config.optimizer.momentum = trajectory.MOMENTUM
  config.optimizer.rmsprop_decay = trajectory.RMSPROP_DECAY
  config.optimizer.rmsprop_epsilon = trajectory.RMSPROP_EPSILON
  config.optimizer.weight_decay = trajectory.WEIGHT_DECAY
  config.schedule.name = 'constant'
  config.schedule.base_learning_rate = recipe.learning_rate
  config.schedule.base_batch_size = recipe.batch_size
  config.schedule.warmup_epochs = 0.0
  return config


def make_run(recipe, weights):
  """Returns the project's step and the state before the first one."""
  config = make_config(recipe, weights)
  devices = jax.devices()[:1]
  training = builds.build(config, devices, num_examples=recipe.batch_size)
  table = training.model.architecture
  heads = [dataclasses.replace(head, dropout=0.0) for head in table.aux_heads]
  table = dataclasses.replace(table, aux_heads=tuple(heads))
  model = training.model.clone(architecture=table)
  constants = dataclasses.replace(training.recipe, model=model)
  optimizer = constants.optimizer(0.0)
  state = TrainState(
    step=jnp.zeros((), jnp.int32),
    params=weights.variables['params'],
    batch_stats=weights.variables['batch_stats'],
    opt_state=optimizer.init(weights.variables['params']),
    ema=None,
    loss_scale=None,
    skipped=None,
  )
  step = make_train_step(constants, devices)
  return step, distributed.replicate(state, devices)


def train(recipe, weights):
  """Returns the losses and the final variables of a run here."""
  step, state = make_run(recipe, weights)
  losses = []
  for images, labels in trajectory.batches(recipe):
    batch = {'image': images[None], 'label': labels[None]}
    state, metrics = step(state, batch)
    losses.append(float(metrics['loss']))
  return losses, jax.device_get(
    {'params': state.params, 'batch_stats': state.batch_stats}
  )


def load_golden(peer):
  with np.load(FOLDER / f'training_{peer}.npz') as file:
    return dict(file)


def importer_names(peer, names):
  """Returns the names of tensors in files, where Keras numbers variables."""
  if not peer.startswith('keras'):
    return list(names)
  count = collections.Counter()
  numbered = []
  for name in names:
    layer = name.rpartition('/')[0]
    numbered.append(f'{layer}/{count[layer]}')
    count[layer] += 1
  return numbered


def make_weights(peer, golden):
  """Imports the initial weights and maps names to tensors.

  Args:
    peer: Name of the recipe.
    golden: Names and shapes of the peer's tensors.

  Returns:
    The weights, and the importer's `Tensor` by the peer's name.
  """
  names = [str(name) for name in golden['tensors']]
  files = dict(zip(names, importer_names(peer, names)))
  arrays = {}
  for name, text in zip(names, golden['shapes']):
    shape = tuple(int(side) for side in re.findall(r'\d+', str(text)))
    rank, keras = len(shape), peer.startswith('keras')
    axes = range(rank - 1) if keras else range(1, rank)
    arrays[files[name]] = trajectory.initial(name, shape, axes)
  project_name = peer.split('_')[0]
  weights = conversion.import_arrays(arrays, project_name)
  table = network_layers(
    weights.architecture, weights.num_classes, weights.with_aux
  )
  describe = PROJECTS[project_name].networks[weights.architecture].name_tensors
  tensors = {tensor.name: tensor for tensor in describe(table, arrays)}
  return weights, {name: tensors[file] for name, file in files.items()}


def samples(recipe, architecture):
  """Returns the number of values that batch norm averages, by scope."""
  table = get_architecture(architecture)
  size = recipe.size
  trunk = unroll.stage_layers(table, size, size)
  aux = unroll.aux_layers(table, size, size, trajectory.CLASSES)
  return {
    layer.scope: recipe.batch_size * math.prod(layer.output[:2])
    for group in (*trunk.values(), *aux.values())
    for layer in group
  }


def changes(recipe, weights, after, unbiased):
  """Returns final minus initial values by path, as the peer would have them.

  Args:
    recipe: Recipe of the run.
    weights: Initial weights.
    after: Final variables.
    unbiased: The peer keeps n / (n - 1) times the variance of n values, as
      PyTorch does. Flax and Keras keep the variance itself.
  """
  before = traverse_util.flatten_dict(weights.variables, sep='/')
  after = traverse_util.flatten_dict(after, sep='/')
  count = samples(recipe, weights.architecture)
  found = {}
  for path, start in before.items():
    start, end = start.astype(np.float64), after[path].astype(np.float64)
    if unbiased and path.endswith('/BatchNorm/var'):
      n = count[path.removeprefix('batch_stats/').rpartition('/BatchNorm')[0]]
      kept = recipe.batch_norm_decay**trajectory.STEPS * start
      end = kept + (end - kept) * n / (n - 1)
    found[path] = end - start
  return found


def tolerance(path):
  if path.startswith('batch_stats'):
    return STATISTICS
  return BATCH_NORM if '/BatchNorm/' in path else KERNELS


def differences(golden, tensors, found):
  """Returns the relative difference of every tensor's movement, by path."""
  errors = {}
  for name, wanted in zip(golden['tensors'], golden['movements']):
    tensor = tensors[name]
    vectors = [
      tensor.convert(vector)
      for vector in trajectory.directions(name, tensor.shape)
    ]
    ours = trajectory.movement(found[tensor.path], vectors)
    errors[tensor.path] = np.abs(ours - wanted).max() / wanted[0]
  return errors


@pytest.mark.slow
@pytest.mark.parametrize('peer', trajectory.RECIPES)
def test_training_matches_the_peer(peer):
  golden, recipe = load_golden(peer), trajectory.RECIPES[peer]
  weights, tensors = make_weights(peer, golden)
  losses, after = train(recipe, weights)
  np.testing.assert_allclose(losses, golden['losses'], rtol=LOSS)
  found = changes(
    recipe, weights, after, unbiased=peer.startswith('torchvision')
  )
  errors = differences(golden, tensors, found)
  wrong = {p: e for p, e in errors.items() if not e <= tolerance(p)}
  assert not wrong

"""Test runs with equal configs share traced and compiled programs.

Otherwise, a run of six steps would mostly trace and lower programs that another
test has already traced and lowered. `share` replaces the functions that make
programs by versions with a cache, whose keys cover all that a program reads.
"""

import dataclasses
import functools
import json

import jax.numpy as jnp
import ml_collections

from inception.config import compare
from inception.evaluation import evaluate, members
from inception.processes import distributed
from inception.training import build
from inception.training.recipe import schedule
from inception.training.recipe.step import Recipe

# False in tests of how programs are made; see the fixture `own_programs`.
shared = True

# No program reads these fields.
_NOT_READ = {
  *('checkpoint.on_full', 'checkpoint_every_epochs'),
  *('checkpoint_every_minutes', 'data.cache_bytes', 'data.class_names'),
  *('data.data_dir', 'data.dataset', 'data.eval_split', 'data.max_broken'),
  *('data.on_change', 'data.retry_seconds', 'distributed.timeout_seconds'),
  *('early_stopping_patience', 'eval_every_epochs', 'keep_checkpoints'),
  *('log_every_steps', 'pretrained', 'seed', 'tracker', 'watchdog_minutes'),
}
# Nor does the program for the initial state read these, except for one field.
_NOT_IN_STATES = ('data.', 'loss.', 'schedule.')
_BUT_IN_STATES = 'data.image_size'


def share() -> None:
  """Shares programs for the rest of this process."""
  make_predictor = _remember(build.make_predictor, _predictor_key)
  build.make_predictor = members.make_predictor = make_predictor
  evaluate.make_eval_step = _remember(
    evaluate.make_eval_step,
    lambda predictor, devices, *activation: (
      predictor,
      tuple(devices),
      *activation,
    ),
  )
  build.jit_initial_state = _remember(
    build.jit_initial_state,
    lambda recipe: (_fields_of_states(recipe.config), recipe.model),
  )
  # A schedule depends on the length of an epoch, which is not in the config.
  schedule.make_schedule = _remember(
    schedule.make_schedule, lambda config, *others: (_fields(config), *others)
  )
  make_step = build.make_train_step
  make_shared_step = _remember(make_step, _step_key)

  def make_train_step(recipe, devices):
    if not shared:
      return make_step(recipe, devices)
    seed = jnp.asarray(recipe.config.seed, jnp.int32)
    return dataclasses.replace(
      make_shared_step(recipe, devices),
      seed=distributed.replicate(seed, devices),
    )

  build.make_train_step = make_train_step


def _remember(make, key_of):
  """Returns `make` with a cache.

  Cached objects hold copies of configs: a test may change its own later.
  """
  made = {}

  @functools.wraps(make)
  def find_or_make(*arguments):
    if not shared:
      return make(*arguments)
    key = key_of(*arguments)
    if key not in made:
      made[key] = make(*map(_with_own_config, arguments))
    return made[key]

  return find_or_make


def _with_own_config(argument):
  match argument:
    case ml_collections.ConfigDict():
      return argument.copy_and_resolve_references()
    case Recipe(config=config):
      own = config.copy_and_resolve_references()
      optimizer = functools.partial(
        argument.optimizer.func, own.optimizer, **argument.optimizer.keywords
      )
      return dataclasses.replace(argument, config=own, optimizer=optimizer)
  return argument


def _fields(config) -> str:
  """Returns the fields that a program may read."""
  fields = compare.flatten(config)
  kept = {k: v for k, v in fields.items() if k not in _NOT_READ}
  return json.dumps(kept, sort_keys=True)


def _fields_of_states(config) -> str:
  fields = compare.flatten(config)
  kept = {
    k: v
    for k, v in fields.items()
    if k == _BUT_IN_STATES
    or not (k in _NOT_READ or k.startswith(_NOT_IN_STATES))
  }
  return json.dumps(kept, sort_keys=True)


def _predictor_key(model, data):
  return model, _fields({'data': data.to_dict()})


def _step_key(recipe, devices):
  weights = recipe.class_weights
  return (
    _fields(recipe.config),
    recipe.model,
    recipe.schedule,
    None if weights is None else weights.tobytes(),
    tuple(devices),
  )

"""Runs of tests with equal configs share traced and compiled programs.

Most of a run of six steps would be tracing and lowering what another test has
traced and lowered before. `share` replaces the functions that make programs by
ones that remember, in this process, what they made of everything it reads.
"""

import dataclasses
import functools
import json

import jax.numpy as jnp

from inception import distributed
from inception.config import compare
from inception.evaluation import evaluate, members
from inception.training import build, run, schedule

# False in tests of how programs are made; see the fixture `own_programs`.
shared = True

# No program reads these fields.
_NOT_READ = compare.MAY_CHANGE - {'model.remat'} | {
  *('seed', 'pretrained', 'log_every_steps', 'eval_every_epochs'),
  *('data.dataset', 'data.eval_split', 'data.max_broken'),
}
# Those of the first state of a run, besides the model.
_OF_STATES = ('precision', 'data.image_size', 'optimizer.', 'divergence.')


def share() -> None:
  """Shares programs for the rest of this process."""
  make_predictor = _remember(run.make_predictor, _predictor_key)
  run.make_predictor = members.make_predictor = make_predictor
  evaluate.make_eval_step = _remember(
    evaluate.make_eval_step,
    lambda predictor, devices: (predictor, tuple(devices)),
  )
  build.jit_initial_state = _remember(
    build.jit_initial_state,
    lambda config, model, optimizer: (_fields(config, _OF_STATES), model),
  )
  # A schedule depends on the length of an epoch, which a config does not say.
  schedule.make_schedule = _remember(
    schedule.make_schedule, lambda config, *others: (_fields(config), *others)
  )
  make_step = _remember(build.make_train_step, _step_key)

  def make_train_step(recipe, devices):
    seed = jnp.asarray(recipe.config.seed, jnp.int32)
    return dataclasses.replace(
      make_step(recipe, devices), seed=distributed.replicate(seed, devices)
    )

  build.make_train_step = make_train_step


def _remember(make, key_of):
  made = {}

  @functools.wraps(make)
  def find_or_make(*arguments):
    if not shared:
      return make(*arguments)
    key = key_of(*arguments)
    if key not in made:
      made[key] = make(*arguments)
    return made[key]

  return find_or_make


def _fields(config, begin: tuple[str, ...] = ('',)) -> str:
  """Returns the fields that a program may read, whose names begin so."""
  kept = {
    name: value
    for name, value in compare.flatten(config).items()
    if name.startswith(begin) and name not in _NOT_READ
  }
  return json.dumps(kept, sort_keys=True)


def _predictor_key(model, data):
  return model, json.dumps(
    [data.mean, data.std, data.channel_order, data.eval_transform]
  )


def _step_key(recipe, devices):
  weights = recipe.class_weights
  return (
    _fields(recipe.config),
    recipe.model,
    recipe.schedule,
    None if weights is None else weights.tobytes(),
    tuple(devices),
  )

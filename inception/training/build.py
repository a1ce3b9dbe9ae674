"""Builds everything that a run computes with, from a config and devices.

The loop, the benchmarks and the tests all start here.
"""

from collections.abc import Sequence
import dataclasses
import functools
from typing import Any, cast

import jax
import ml_collections
import numpy as np

from inception.evaluation import evaluate
from inception.modules import compiler_options
from inception.modules.create import model_from_config
from inception.modules.network import Network
from inception.predict.predictor import make_predictor
from inception.processes.distributed import AXIS
from inception.training.recipe import schedule as schedules
from inception.training.recipe.optimizer import make_optimizer
from inception.training.recipe.state import TrainState, initial_state
from inception.training.recipe.step import Recipe, TrainStep, make_train_step


@dataclasses.dataclass(frozen=True)
class Training:
  """Everything that a run computes with, on the devices of all processes."""

  recipe: Recipe
  duration: schedules.Duration
  devices: tuple[jax.Device, ...]

  @property
  def config(self) -> ml_collections.ConfigDict:
    """The whole config."""
    return self.recipe.config

  @property
  def model(self) -> Network:
    """The network."""
    return self.recipe.model

  @functools.cached_property
  def step(self) -> TrainStep:
    """The step on the devices; see `make_train_step`."""
    return make_train_step(self.recipe, self.devices)

  @functools.cached_property
  def eval_step(self) -> Any:
    """The evaluation of a batch on the devices, an `evaluate.EvalStep`."""
    predictor = make_predictor(self.model, self.config.data)
    return evaluate.make_eval_step(predictor, self.devices)

  @functools.cached_property
  def abstract_state(self) -> TrainState:
    """Shapes and dtypes of the state; nothing is computed."""
    return cast(TrainState, self.create_state.eval_shape(self._seed))

  def initial_state(self) -> TrainState:
    """Returns the state before the first step, on one device."""
    return cast(TrainState, self.create_state(self._seed))

  @functools.cached_property
  def create_state(self) -> Any:
    """The jitted function from an int32 seed to the initial state."""
    return jit_initial_state(self.recipe)

  @property
  def _seed(self) -> np.int32:
    return np.int32(self.config.seed)


def build(
  config: ml_collections.ConfigDict,
  devices: Sequence[jax.Device],
  num_examples: int,
  class_weights: np.ndarray | None = None,
) -> Training:
  """Makes model, schedule and optimizer; nothing is compiled.

  Args:
    config: A checked config with `model.num_classes` set.
    devices: Devices of all processes; a batch is split over them.
    num_examples: Examples per epoch.
    class_weights: See `Recipe`.
  """
  duration = schedules.make_duration(config, num_examples)
  model = model_from_config(config, AXIS)
  recipe = Recipe(
    config=config,
    model=model,
    schedule=schedules.make_schedule(
      config.schedule, config.batch_size, duration
    ),
    optimizer=functools.partial(
      make_optimizer,
      config.optimizer,
      frozen=model.frozen_stages,
      heads=heads_of(model),
    ),
    class_weights=class_weights,
  )
  return Training(recipe, duration, tuple(devices))


def jit_initial_state(recipe: Recipe) -> Any:
  """Returns `initial_state` as a jitted function of an int32 seed."""
  create = functools.partial(
    initial_state,  # The seed is an argument: see `TrainStep`.
    config=recipe.config,
    model=recipe.model,
    optimizer=recipe.optimizer,
  )
  options = compiler_options.for_initial_values()
  return jax.jit(create, compiler_options=options)


def heads_of(model: Network) -> tuple[str, ...]:
  """Returns the scopes of the classifier and of the auxiliary heads."""
  return ('Logits', *(head.name for head in model.architecture.aux_heads))

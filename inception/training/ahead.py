"""Compiles the programs of a run ahead of it, for the compilation cache."""

from collections.abc import Sequence
from typing import Any

import jax
import ml_collections
import numpy as np

from inception import paths
from inception.data import pipeline
from inception.data.batches import host_shard
from inception.processes import distributed
from inception.training.build import Training
from inception.training.run import make_eval_step
from inception.training.setup import prepare


def compile_only(
  config: ml_collections.ConfigDict,
  workdir: paths.PathLike,
  devices: Sequence[jax.Device] | None = None,
) -> None:
  """Compiles what `train` would run, so that the compilation cache has it.

  Nothing is written to the workdir, and no image is read.

  Args:
    config: As that of `train`.
    workdir: As that of `train`.
    devices: As those of `train`.

  Raises:
    UserError: As `train`.
  """
  devices = list(devices or distributed.all_devices())
  workdir = paths.resolve(workdir)
  prepared = prepare(config, workdir, devices, take_lock=lambda: None)
  _compile(prepared.training)


def _compile(training: Training) -> None:
  """Compiles initialization, a step and the evaluation of a batch."""
  config, devices = training.config, training.devices
  shard = host_shard(config.batch_size, devices)
  batch = pipeline.empty_batch(config.data, shard)
  mask = batch.pop('mask')
  state = training.abstract_state
  evaluate: Any = make_eval_step(training)
  lowered = (
    training.create_state.lower(np.int32(config.seed)),
    training.step.lower(state, batch),
    evaluate.lower(state.eval_variables(), {**batch, 'mask': mask}),
  )
  for program in lowered:
    program.compile()

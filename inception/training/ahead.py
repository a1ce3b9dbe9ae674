"""Compiles the programs of a run ahead of time, for the compilation cache."""

from collections.abc import Sequence
import time

import jax
import ml_collections
import numpy as np

from inception import paths
from inception.data import pipeline
from inception.data.batches import host_shard
from inception.errors import UserError
from inception.processes import distributed
from inception.training.preflight import prepare


def compile_only(
  config: ml_collections.ConfigDict,
  workdir: paths.PathLike,
  devices: Sequence[jax.Device] | None = None,
) -> None:
  """Compiles everything that `train` would run, to fill the compilation cache.

  Writes nothing to the workdir and reads no images. Arguments and errors are
  those of `train`.

  Raises:
    UserError: There is no compilation cache.
  """
  cache = jax.config.jax_compilation_cache_dir
  if not cache:
    raise UserError(
      '--compile_only needs a compilation cache; unset'
      ' JAX_COMPILATION_CACHE_DIR, or set it to a folder'
    )
  began = time.monotonic()
  devices = list(devices or distributed.all_devices())
  training = prepare(config, paths.resolve(workdir), devices).training
  config = training.config
  shard = host_shard(config.batch_size, devices)
  eval_batch = pipeline.empty_batch(config.data, shard)
  batch = {name: x for name, x in eval_batch.items() if name != 'mask'}
  state = training.abstract_state
  training.create_state.lower(np.int32(config.seed)).compile()
  training.step.compile(state, batch)
  training.eval_step.compile(state.eval_variables(), eval_batch)
  if distributed.is_first():
    print(f'compiled in {time.monotonic() - began:.1f} s, kept in {cache}')
    if training.step.compiled.options:
      print(
        'not kept: training and evaluation, which call oneDNN on CPUs; see'
        ' docs/speed.md'
      )

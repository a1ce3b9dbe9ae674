"""Checks and completes a config, and builds the run, before it starts."""

from collections.abc import Sequence
import dataclasses

import jax
import ml_collections

from inception import paths
from inception.checkpoints.store import Checkpoints
from inception.processes import distributed
from inception.training import check, record, resolve
from inception.training import start as starts
from inception.training.build import Training, build
from inception.training.follow import follow_weights
from inception.training.memory import check_memory


@dataclasses.dataclass(frozen=True)
class Prepared:
  """A run that is ready to start: programs, data and starting point."""

  training: Training
  sources: record.Splits
  start: starts.Start


def prepare(
  config: ml_collections.ConfigDict,
  workdir: paths.Path,
  devices: Sequence[jax.Device],
) -> Prepared:
  """Checks and completes a config, and builds what the run computes with.

  Raises:
    UserError: Config, data or workdir cannot be used.
  """
  with Checkpoints(workdir) as checkpoints:
    with distributed.agreed():
      resumed = bool(checkpoints.steps())
      config = follow_weights(config, workdir, resumed)
      check.check_run(config, devices, resumed)
      sources = resolve.open_splits(config)
    start = starts.find_start(checkpoints, config)
  with distributed.agreed():
    sources = resolve.match_classes(config, sources, start)
    if start.checkpoint is not None:
      record.check_data(start.checkpoint.data, sources, config.data.on_change)
    config = resolve.complete(config, sources[0], start)
  resolve.check_same_everywhere(config, *sources)
  with distributed.agreed():
    num_examples = sources[0].num_examples
    weights = resolve.class_weights(config, sources[0])
    training = build(config, devices, num_examples, weights)
    check_memory(training)
  return Prepared(training, sources, start)

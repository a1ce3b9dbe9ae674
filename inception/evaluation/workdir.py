"""Evaluates workdirs from their checkpoints alone."""

from collections.abc import Iterator, Sequence
import dataclasses
import functools
import os
from typing import Any

import jax
import numpy as np

from inception import paths
from inception.data import class_names, pipeline
from inception.data.batches import HostShard, host_shard
from inception.data.device import feed
from inception.errors import UserError
from inception.evaluation import details, evaluate, real_labels
from inception.evaluation.ensemble import (
  average_members,
  by_pixels,
  open_members,
)
from inception.evaluation.members import DEFAULT, Member, Procedure
from inception.evaluation.real_labels import RealLabels
from inception.predict.predictor import CROPS, Predictor
from inception.processes import distributed


@dataclasses.dataclass(frozen=True)
class Evaluation:
  """Checkpoints and the split that they are evaluated on.

  Attributes:
    members: The networks whose probabilities are averaged, usually just one.
    protocol: How they are evaluated.
    devices: Devices of all processes.
    batch_size: Crops in a global batch.
  """

  members: Sequence[Member]
  protocol: Procedure
  devices: Sequence[jax.Device]
  batch_size: int

  @property
  def predictor(self) -> Predictor:
    """Maps `variables` and the images of a batch to logits."""
    if len(self.members) == 1:
      return self.members[0].predictor
    return average_members(self.members)

  @functools.cached_property
  def variables(self) -> Any:
    """Variables of the predictor, on the devices."""
    every = tuple(member.variables for member in self.members)
    return distributed.replicate(
      every[0] if len(every) == 1 else every, self.devices
    )

  def batches(self) -> Iterator[dict[str, Any]]:
    """Yields batches with the same number of rows for every device.

    The mask hides the padding, so any batch size works. `image` is a tuple if
    several networks are averaged.
    """
    squares = CROPS[self.protocol.crops]
    rows = -(-self.batch_size // (squares * len(self.devices)))
    shard = host_shard(rows * len(self.devices), self.devices)
    streams = [
      pipeline.eval_batches(m.source, m.config.data, shard, squares)
      for m in by_pixels(self.members).values()
    ]
    return feed.prefetch(self._joined(streams, shard), self.devices)

  def _joined(
    self, streams: Sequence[Any], shard: HostShard
  ) -> Iterator[dict[str, Any]]:
    real = self._real_labels()
    for number, parts in enumerate(zip(*streams)):
      joined: dict[str, Any] = dict(parts[0])
      if len(self.members) > 1:
        joined['image'] = tuple(part['image'] for part in parts)
      if self.protocol.only is not None:
        labels = joined['label'] - self.members[0].offset
        joined['mask'] = joined['mask'] * np.isin(labels, self.protocol.only)
      yield joined if real is None else real.relabel(joined, number, shard)

  def _real_labels(self) -> RealLabels | None:
    """Reads the labels that `protocol.labels` names, if any."""
    name, first = self.protocol.labels, self.members[0]
    if name is None:
      return None
    if first.source.file_name is None:
      raise UserError(
        f'--labels={name} needs file names, which {first.source.name} does not'
        ' have'
      )
    return RealLabels(
      real_labels.read(name, first.config.data.data_dir),
      first.source.file_name,
      first.offset,
      first.config.model.num_classes,
    )

  def results(self) -> dict[str, Any]:
    """Evaluates the whole split.

    Returns:
      `step`, `dataset`, `data_dir`, `split`, `precision`, `crops`, `examples`,
      `loss` (mean nats), `top1` and `top5` (fractions); also `networks`,
      `classes` and `labels` if they are not the defaults.
    """
    first = self.members[0]
    data = first.config.data
    results: dict[str, Any] = {
      'step': first.step,
      'dataset': data.dataset,
      'data_dir': data.data_dir,
      'split': data.eval_split,
      'precision': first.config.precision,
      'crops': self.protocol.crops,
    }
    if len(self.members) > 1:
      results['networks'] = [member.folder for member in self.members]
    if self.protocol.only is not None:
      results['classes'] = list(self.protocol.only)
    if self.protocol.labels is not None:
      results['labels'] = 'real'
    step = evaluate.make_eval_step(
      self.predictor, self.devices, first.activation
    )
    scores = evaluate.evaluate(step, self.variables, self.batches())
    return {**results, **scores}

  def details(self) -> dict[str, Any]:
    """Adds `network`, `workdir` and `image_size` to `details.collect`.

    `network` and `workdir` list all members.

    Raises:
      UserError: There is more than one process.
    """
    if distributed.process_count() > 1:
      raise UserError('--report needs a single process: --num_processes=1')
    first = self.members[0]
    names = class_names.of_logits(
      first.config.data, first.config.model.num_classes
    )
    found = details.collect(
      self.predictor,
      self.variables,
      self.batches(),
      self.devices,
      names,
      first.source.describe,
      first.activation,
    )
    return {
      'network': ' + '.join(m.config.model.architecture for m in self.members),
      'workdir': ', '.join(member.folder for member in self.members),
      'image_size': first.config.data.image_size,
      **found,
    }


def open_workdir(
  workdir: paths.PathLike | Sequence[paths.PathLike],
  step: str = 'latest',
  split: str | None = None,
  batch_size: int | None = None,
  dataset: str | None = None,
  data_dir: str | None = None,
  devices: Sequence[jax.Device] | None = None,
  protocol: Procedure = DEFAULT,
) -> Evaluation:
  """Restores a checkpoint and opens the split to evaluate it on.

  Args:
    workdir: Workdir of a run, or a folder of imported weights; several for an
      ensemble, on the data of the first.
    step: A number, 'best' (by top-1 in training) or 'latest'.
    split: Split in TFDS slicing syntax; None takes `data.eval_split`.
    batch_size: Crops in a global batch; None takes the run's.
    dataset: Name of the data set; None takes the run's.
    data_dir: Folder of the data set; None takes the run's.
    devices: Devices of all processes; None takes all.
    protocol: How to evaluate it.

  Raises:
    UserError: The checkpoint, split or data set is missing or damaged, or the
      networks cannot be evaluated this way.
  """
  devices = list(devices or distributed.all_devices())
  folders = [workdir] if isinstance(workdir, str | os.PathLike) else workdir
  with distributed.agreed():
    members = open_members(folders, step, split, dataset, data_dir, protocol)
  for member in members:
    distributed.same_everywhere(str(member.step), 'the step')
    distributed.same_everywhere(
      member.source.digest, f'the data ({member.source.name})'
    )
  size = batch_size or members[0].config.batch_size
  return Evaluation(members, protocol, devices, size)

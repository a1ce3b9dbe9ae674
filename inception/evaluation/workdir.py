"""Evaluates a workdir from its checkpoint alone."""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import hashlib
import json
import re
from typing import Any

import jax
import ml_collections

from inception import commands, distributed, paths
from inception.checkpoints.restore import load_variables
from inception.data import class_names, classes, device, pipeline
from inception.data.batches import host_shard
from inception.data.sources.catalog import open_source
from inception.data.sources.source import Source
from inception.errors import UserError
from inception.evaluation import details, evaluate
from inception.predict import Predictor, make_predictor, model_from_config


@dataclasses.dataclass(frozen=True)
class Evaluation:
  """A checkpoint and the split that it is evaluated on.

  Attributes:
    step: Training steps taken.
    config: Config of the run, with the data that it is evaluated on.
    split: Split in TFDS slicing syntax.
    source: Its examples, with the network's labels.
    predictor: The network as a predictor.
    variables: Its variables, on the devices.
    devices: Devices of all processes.
    batch_size: Images in a global batch.
  """

  step: int
  config: ml_collections.ConfigDict
  split: str
  source: Source
  predictor: Predictor
  variables: Any
  devices: Sequence[jax.Device]
  batch_size: int

  def batches(self) -> Iterator[dict[str, jax.Array]]:
    """Yields batches with the same number of rows for every device.

    The mask hides the padding, so any batch size works.
    """
    rows = -(-self.batch_size // len(self.devices))
    shard = host_shard(rows * len(self.devices), self.devices)
    return device.prefetch(
      pipeline.eval_batches(self.source, self.config.data, shard), self.devices
    )

  def results(self) -> dict[str, Any]:
    """Evaluates the whole split.

    Returns:
      `step`, `dataset`, `data_dir`, `split`, `examples`, `loss` (mean nats),
      `top1` and `top5` (fractions).
    """
    step = evaluate.make_eval_step(self.predictor, self.devices)
    scores = evaluate.evaluate(step, self.variables, self.batches())
    data = self.config.data
    about = {'dataset': data.dataset, 'data_dir': data.data_dir}
    return {'step': self.step, **about, 'split': self.split, **scores}

  def details(self) -> dict[str, Any]:
    """Returns what `details.collect` does.

    Raises:
      UserError: There are several processes.
    """
    if distributed.process_count() > 1:
      raise UserError('--report needs a single process: --num_processes=1')
    names = class_names.of_logits(
      self.config.data, self.config.model.num_classes
    )
    return details.collect(
      self.predictor,
      self.variables,
      self.batches(),
      self.devices,
      names,
      self.source.describe,
    )


def open_workdir(
  workdir: paths.Path,
  step: str = 'latest',
  split: str | None = None,
  batch_size: int | None = None,
  dataset: str | None = None,
  data_dir: str | None = None,
  devices: Sequence[jax.Device] | None = None,
) -> Evaluation:
  """Restores a checkpoint and opens the split to evaluate it on.

  Args:
    workdir: Workdir of a run, or a folder of imported weights.
    step: A number, 'best' (by top-1 in training) or 'latest'.
    split: Split in TFDS slicing syntax; None takes `data.eval_split`.
    batch_size: Images in a global batch; None takes the run's.
    dataset: Name of the data set; None takes the run's.
    data_dir: Folder of the data set; None takes the run's.
    devices: Devices of all processes; None takes all.

  Raises:
    UserError: There is no such checkpoint, split or data set, or it is damaged.
  """
  devices = list(devices or distributed.all_devices())
  with distributed.agreed():
    loaded = load_variables(paths.resolve(workdir), step)
    config = loaded.config.copy_and_resolve_references()
    data = config.data
    data.dataset = data.dataset if dataset is None else dataset
    data.data_dir = data.data_dir if data_dir is None else data_dir
    split = data.eval_split if split is None else split
    source = _match_classes(open_source(data, split), config, workdir)
  distributed.same_everywhere(str(loaded.step), 'the step')
  distributed.same_everywhere(source.digest, f'the data ({source.name})')
  return Evaluation(
    loaded.step,
    config,
    split,
    source,
    make_predictor(model_from_config(config), data),
    distributed.replicate(loaded.variables, devices),
    devices,
    batch_size or config.batch_size,
  )


def evaluate_workdir(*arguments: Any, **keywords: Any) -> dict[str, Any]:
  """Evaluates a checkpoint: the `results` of `open_workdir`."""
  return open_workdir(*arguments, **keywords).results()


def _match_classes(
  source: Source, config: ml_collections.ConfigDict, workdir: paths.Path
) -> Source:
  """Returns the source with the network's labels, by name where it has any."""
  if not config.model.num_classes:
    raise UserError(
      f'the network of {workdir} has no classifier, only features: train one'
      f' with --config.pretrained={workdir}'
    )
  names = class_names.configured(config.data)
  if names is not None:
    return classes.match(source, names, f'the network of {workdir}')
  expected = config.model.num_classes - config.data.class_offset
  if len(source.classes) != expected:
    raise UserError(
      f'{source.name} has {len(source.classes)} classes, the network of'
      f' {workdir} has {expected}'
    )
  return source


def write_results(
  workdir: paths.Path, results: Mapping[str, Any]
) -> paths.Path:
  """Writes results as JSON into the workdir and returns the file's path.

  Raises:
    UserError: The workdir cannot be written.
  """
  place = results['data_dir']
  data = results['dataset']
  if place is not None:  # Folders of the same name are not the same data.
    where = paths.resolve(place).absolute()
    data += f'_{where.name}_{_digest(str(where))}'
  split = results['split']
  if not split.isidentifier():  # 'train[:80%]' and 'train[80%:]' differ.
    split += f'_{_digest(split)}'
  name = re.sub(r'\W+', '_', f'{data}_{split}').strip('_')
  path = workdir / f'evaluation_{results["step"]}_{name}.json'
  try:
    path.write_text(json.dumps(results, indent=2) + '\n')
  except OSError as error:
    raise UserError(f'cannot write {path}: {error.strerror}') from error
  return path


def _digest(text: str) -> str:
  return hashlib.blake2b(text.encode(), digest_size=3).hexdigest()


def format_results(results: Mapping[str, Any]) -> str:
  """Returns results as text: a heading and one row."""
  row = (
    str(results['step']),
    results['split'],
    str(results['examples']),
    f'{results["loss"]:.4f}',
    f'{results["top1"]:.2%}',
    f'{results["top5"]:.2%}',
  )
  heading = ('step', 'split', 'examples', 'loss', 'top-1', 'top-5')
  return commands.format_table(heading, [row])

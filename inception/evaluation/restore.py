"""Evaluation of a workdir: its checkpoint is all that is needed."""

from collections.abc import Sequence
import json
import pathlib
import re
from typing import Any

import jax

from inception.data import datasets, device, pipeline
from inception.errors import UserError
from inception.evaluation import evaluate
from inception.modules.network import create_model
from inception.pretrained.load import load_variables


def evaluate_workdir(
  workdir: pathlib.Path,
  step: str = 'latest',
  split: str | None = None,
  batch_size: int | None = None,
  dataset: str | None = None,
  data_dir: str | None = None,
  devices: Sequence[jax.Device] | None = None,
) -> dict[str, Any]:
  """Restores a checkpoint and evaluates it on a whole split.

  Args:
    workdir: of the run.
    step: a number, 'best' (by top-1 in training) or 'latest'.
    split: in TFDS slicing syntax; None takes `data.eval_split`.
    batch_size: images at a time; None takes the run's.
    dataset: its name; None takes the run's.
    data_dir: where the data set lies; None takes the run's.
    devices: local devices; None takes all.

  Returns:
    `step`, `dataset`, `split`, `examples`, `loss` (mean nats), `top1` and
    `top5` (fractions).

  Raises:
    UserError: no such checkpoint, split or data set, or a damaged checkpoint.
  """
  devices = list(devices or jax.local_devices())
  loaded = load_variables(workdir, step)
  config = loaded.config
  data = config.data.copy_and_resolve_references()
  data.dataset = dataset or data.dataset
  data.data_dir = data_dir or data.data_dir
  split = split or data.eval_split
  source = datasets.open_source(data, split)
  expected = config.model.num_classes - data.class_offset
  if len(source.classes) != expected:
    raise UserError(
      f'{source.name} has {len(source.classes)} classes, the network of'
      f' {workdir} has {expected}'
    )
  model = create_model(config.model, config.precision)
  # Whole rows for every device; the mask takes care of the rest.
  rows = -(-(batch_size or config.batch_size) // len(devices))
  share = pipeline.Share(rows * len(devices), len(devices))
  results = evaluate.evaluate(
    evaluate.make_eval_step(model, data, devices),
    loaded.variables,
    device.prefetch(pipeline.eval_batches(source, data, share), devices),
  )
  return {
    'step': loaded.step,
    'dataset': data.dataset,
    'split': split,
    **results,
  }


def write_results(
  workdir: pathlib.Path, results: dict[str, Any]
) -> pathlib.Path:
  """Writes results as JSON into the workdir and returns the file's path.

  Raises:
    UserError: the workdir cannot be written.
  """
  of = f'{results["dataset"]}_{results["split"]}'
  name = re.sub(r'\W+', '_', of).strip('_')
  path = workdir / f'evaluation_{results["step"]}_{name}.json'
  try:
    path.write_text(json.dumps(results, indent=2) + '\n')
  except OSError as error:
    raise UserError(f'cannot write {path}: {error.strerror}') from error
  return path

"""Evaluation of a workdir: its checkpoint is all that is needed."""

from collections.abc import Sequence
import json
import pathlib
import re
from typing import Any

import jax

from inception.checkpoints import Checkpoints
from inception.data import datasets, device, pipeline
from inception.errors import UserError
from inception.evaluation import evaluate
from inception.modules.network import create_model


def evaluate_workdir(
  workdir: pathlib.Path,
  step: str = 'latest',
  split: str | None = None,
  batch_size: int | None = None,
  data_dir: str | None = None,
  devices: Sequence[jax.Device] | None = None,
) -> dict[str, Any]:
  """Restores a checkpoint and evaluates it on a whole split.

  Args:
    workdir: of the run.
    step: a number, 'best' (by top-1 in training) or 'latest'.
    split: in TFDS slicing syntax; None takes `data.eval_split`.
    batch_size: images at a time; None takes the run's.
    data_dir: where the data set lies; None takes the run's.
    devices: local devices; None takes all.

  Returns:
    `step`, `split`, `examples`, `loss` (mean nats), `top1` and `top5`
    (fractions).

  Raises:
    UserError: no such checkpoint, split or data set, or a damaged checkpoint.
  """
  devices = list(devices or jax.local_devices())
  checkpoints = Checkpoints(workdir)
  try:
    chosen = choose_step(checkpoints, step)
    tree, config = checkpoints.load(chosen)
  finally:
    checkpoints.close()
  data = config.data.copy_and_resolve_references()
  data.data_dir = data_dir or data.data_dir
  split = split or data.eval_split
  source = datasets.open_source(data, split)
  if len(source.classes) != config.model.num_classes:
    raise UserError(
      f'{source.name} has {len(source.classes)} classes, the network of'
      f' {workdir} has {config.model.num_classes}'
    )
  model = create_model(config.model, config.precision)
  # Whole rows for every device; the mask takes care of the rest.
  rows = -(-(batch_size or config.batch_size) // len(devices))
  share = pipeline.Share(rows * len(devices), len(devices))
  averaged = tree.get('ema') or tree
  results = evaluate.evaluate(
    evaluate.make_eval_step(model, devices),
    {
      'params': averaged['params'],
      'batch_stats': averaged.get('batch_stats', {}),
    },
    device.prefetch(pipeline.eval_batches(source, data, share), devices),
  )
  return {'step': chosen, 'split': split, **results}


def choose_step(checkpoints: Checkpoints, wanted: str) -> int:
  """Returns the step that 'best', 'latest' or a number stands for.

  Raises:
    UserError: there is none; lists the steps that there are.
  """
  steps = checkpoints.steps()
  if not steps:
    raise UserError(
      f'no checkpoints in {checkpoints.folder}; train first, or name the'
      ' workdir of a run'
    )
  known = ', '.join(map(str, steps))
  if wanted == 'latest':
    return steps[-1]
  if wanted == 'best':
    best = checkpoints.best_step()
    if best is None:
      raise UserError(
        f'no checkpoint in {checkpoints.folder} was evaluated yet; use'
        f' --step=latest or one of {known}'
      )
    return best
  if not wanted.isdecimal() or int(wanted) not in steps:
    raise UserError(
      f'--step={wanted} does not exist in {checkpoints.folder}; there are'
      f' {known}, best and latest'
    )
  return int(wanted)


def write_results(
  workdir: pathlib.Path, results: dict[str, Any]
) -> pathlib.Path:
  """Writes results as JSON into the workdir and returns the file's path.

  Raises:
    UserError: the workdir cannot be written.
  """
  name = re.sub(r'\W+', '_', results['split']).strip('_')
  path = workdir / f'evaluation_{results["step"]}_{name}.json'
  try:
    path.write_text(json.dumps(results, indent=2) + '\n')
  except OSError as error:
    raise UserError(f'cannot write {path}: {error.strerror}') from error
  return path

"""Results of runs, one row each, from the files in their workdirs."""

from collections.abc import Mapping, Sequence
import json
import os
import statistics
from typing import Any

import ml_collections

from inception import architectures, paths
from inception.cli import outputs
from inception.config import compare
from inception.data.pixels.eval_transforms import eval_transform
from inception.errors import UserError
from inception.files import json_text
from inception.observing import metrics
from inception.spec import cost

Result = dict[str, Any]

# Columns of timm's result tables: percent, millions of parameters.
_TIMM = (
  'model',
  'img_size',
  'top1',
  'top1_err',
  'top5',
  'top5_err',
  'param_count',
  'crop_pct',
  'interpolation',
)
_MEASURED = (
  'step',
  'loss',
  'best_top1',
  'best_step',
  'train_loss',
  'images_per_second',
  'hours',
  'gmacs',
  'status',
  'reason',
  'workdir',
)


def read_result(workdir: paths.Path) -> tuple[Result, dict[str, Any]]:
  """Reads the results of a run, which may be unfinished.

  Returns:
    The known columns of the result, and the flat config, which is empty if the
    run has not begun.

  Raises:
    UserError: Its config is damaged.
  """
  result: Result = {'workdir': str(workdir)}
  path = workdir / 'config.json'
  if not paths.exists(path):
    return result, {}
  tree = json_text.read(path)
  try:
    if json_text.is_sealed(tree):  # Not in version 0.4 and older.
      tree = json_text.unseal(tree, 'it')
    config = compare.from_json(json.dumps(tree))
    result.update(_describe(config))
  # The JSON may have any structure: it has not been validated.
  except (ValueError, TypeError, KeyError, AttributeError) as error:
    raise UserError(
      f'{path} is damaged: it is not the config of a run'
    ) from error
  path = workdir / metrics.METRICS_FILE
  if paths.exists(path) and os.path.getsize(path):
    result.update(_measured(metrics.read_rows(workdir)))
  return result, compare.flatten(json.loads(compare.to_json(config)))


def _describe(config: ml_collections.ConfigDict) -> Result:
  """Returns the columns that follow from the config."""
  model, size = config.model, config.data.image_size
  table = architectures.make_table(
    model.architecture, model.width, model.squeeze_excite
  )
  network = cost.network_cost(
    table, size, size, model.num_classes, model.batch_norm_scale
  )
  transform = eval_transform(config.data)
  return {
    'model': model.architecture,
    'img_size': size,
    'param_count': round(network.parameters / 1e6, 3),
    'crop_pct': transform.crop_pct,
    'interpolation': transform.interpolation,
    'gmacs': round(network.macs / 1e9, 4),
  }


def _measured(rows: Sequence[metrics.Row]) -> Result:
  """Returns the columns that follow from the metrics of a run."""
  train = [row for row in rows if row['split'] == 'train' and 'loss' in row]
  evaluations = [
    row for row in rows if row['split'] != 'train' and 'top1' in row
  ]
  result: Result = {'step': rows[-1]['step']}
  if train:
    result['train_loss'] = train[-1]['loss']
    # The first interval includes compilation.
    speeds = [row['images_per_second'] for row in train[1:] or train]
    result['images_per_second'] = round(statistics.median(speeds), 1)
  if evaluations:
    last = evaluations[-1]
    best = max(evaluations, key=lambda row: row['top1'])
    for name in ('top1', 'top5'):
      result[name] = round(100 * last[name], 3)
      result[f'{name}_err'] = round(100 - 100 * last[name], 3)
    result['loss'] = last['loss']
    result['best_top1'] = round(100 * best['top1'], 3)
    result['best_step'] = best['step']
  return result


def means(
  results: Sequence[Mapping[str, Any]], fields: Sequence[str]
) -> list[Result]:
  """Returns mean, standard deviation and count of top-1 over seeds.

  One row per combination of `fields` without `seed`, the best first. The sample
  standard deviation is None for a single run.
  """
  kept = [field for field in fields if field != 'seed']
  groups: dict[str, list[Mapping[str, Any]]] = {}
  for result in results:
    is_whole = result.get('status', 'finished') == 'finished'
    if result.get('top1') is not None and is_whole:
      key = json.dumps([result.get(field) for field in kept])
      groups.setdefault(key, []).append(result)
  rows = []
  for group in groups.values():
    values = [result['top1'] for result in group]
    several = len(values) > 1
    rows.append(
      {
        **{field: group[0].get(field) for field in kept},
        'top1_mean': round(statistics.mean(values), 3),
        'top1_std': round(statistics.stdev(values), 3) if several else None,
        'count': len(values),
      }
    )
  return sorted(rows, key=lambda row: -row['top1_mean'])


def write_results(
  folder: paths.Path, results: Sequence[Result], fields: Sequence[str]
) -> None:
  """Writes results.csv, results.json and means.csv into a folder.

  Raises:
    UserError: A file cannot be written.
  """
  by_seed = means(results, fields)
  columns = [*_TIMM, *fields, *_MEASURED]
  paths.write_atomically(
    folder / 'results.csv', outputs.csv_text(columns, results)
  )
  tree = {'fields': list(fields), 'runs': list(results), 'means': by_seed}
  paths.write_atomically(folder / 'results.json', json_text.dump(tree, 1))
  columns = [field for field in fields if field != 'seed']
  columns += ['top1_mean', 'top1_std', 'count']
  paths.write_atomically(
    folder / 'means.csv', outputs.csv_text(columns, by_seed)
  )


def differing(configs: Sequence[Mapping[str, Any]]) -> list[str]:
  """Returns the fields whose values differ between flat configs, in order."""
  names = dict.fromkeys(name for config in configs for name in config)
  return [
    name
    for name in names
    if len({json.dumps(config.get(name)) for config in configs}) > 1
  ]

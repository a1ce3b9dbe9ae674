"""Estimates time and memory of a step on chips that this machine lacks.

Run:  python -m inception.planning --config=configs/inception_v3.py
        --topology=v5e:2x2 --batch_size=512
      python -m inception.planning --config=... --by=stage --chart=plan.png
      python -m inception.planning --config=...
        --topology=v5e:2x2,v5e:4x4,v5e:8x8 --chart=scale.png
      python -m inception.planning --config=... --topology=h100:8

Needs no chip, only its compiler: pip install 'jax[tpu]' or 'jax[cuda12]'.
Compiling for TPUs takes minutes. All figures are estimates: docs/planning.md.
"""

import os
from typing import Any

from absl import flags

from inception import paths
from inception.cli import commands, outputs, shared
from inception.errors import UserError
from inception.files import json_text


def define_flags() -> None:
  """Defines the flags of this command."""
  shared.define_config(None)
  flags.DEFINE_list(
    'topology',
    'v5e:2x2',
    'Chips, as KIND:SHAPE, such as v5e:2x2 or h100:8. In a comma-separated'
    ' list, all have as many images per chip as the first.',
  )
  shared.define_batch_size(
    None, 'Images per step over all chips; if unset, from the config.'
  )
  flags.DEFINE_enum('what', 'train', ['train', 'eval'], 'Which step to plan.')
  flags.DEFINE_bool(
    'largest_batch', False, 'Search for the largest batch that fits.'
  )
  flags.DEFINE_enum(
    'by',
    None,
    ['stage', 'kind', 'op'],
    'Also show where the time goes.',
  )
  flags.DEFINE_integer(
    'num_examples',
    1_281_167,
    "Images per epoch; ImageNet's by default.",
    lower_bound=1,
  )
  flags.DEFINE_string('chart', None, 'Write a chart to this PNG file.')
  flags.DEFINE_string('csv', None, 'Write one row per topology to this file.')
  flags.DEFINE_bool('json', False, 'Print one JSON object as the last line.')


def main() -> None:
  """Reads the flags, compiles and prints."""
  # Only compiles for other chips; leaves those of this machine alone.
  os.environ['JAX_PLATFORMS'] = 'cpu'
  from inception.planning import chips, report
  from inception.planning.plan import largest_batch, make_plan

  values = flags.FLAGS
  shared.require('config', 'configs/inception_v3.py')
  shared.require('topology', 'v5e:2x2')
  config = values.config.copy_and_resolve_references()
  topologies = [chips.parse(name) for name in values.topology]
  if values.by and len(topologies) > 1:
    raise UserError('--by shows a single topology; give one --topology')
  if values.batch_size is not None:
    config.batch_size = values.batch_size
  # Checked before compiling, which takes minutes.
  picture = shared.output('chart', outputs.picture)
  table = shared.output('csv')
  rows = config.batch_size / topologies[0].size
  make = largest_batch if values.largest_batch else make_plan
  plans = []
  for topology in topologies:
    config.batch_size = round(rows * topology.size)
    plan = make(config, topology, values.what, values.num_examples)
    plans.append(plan)
    print(report.describe(plan), flush=True)
  fitting = [plan for plan in plans if plan.estimate.fits]
  if len(fitting) > 1:
    print('\n' + report.compare(fitting))
  shares = report.shares(plans[0], values.by) if values.by else {}
  if shares:
    print('\n' + report.format_shares(shares, values.by))
  _write(plans, shares, picture, table)


def _write(
  plans: list[Any],
  shares: dict[str, float],
  picture: paths.Path | None,
  table: paths.Path | None,
) -> None:
  from inception.planning import drawing, report

  values = flags.FLAGS
  if picture is not None:
    if shares:
      drawing.draw_shares(shares, plans[0], picture)
    else:
      drawing.draw_scale(plans, picture)
    print(f'wrote {picture}')
  rows = [report.as_row(plan) for plan in plans]
  if table is not None:
    paths.write_atomically(table, outputs.csv_text(list(rows[0]), rows))
    print(f'wrote {table}')
  if values.json:
    result: dict[str, Any] = {'plans': rows}
    if shares:
      result[f'seconds_by_{values.by}'] = shares
    print(json_text.dump(result))


if __name__ == '__main__':
  commands.run(main, define_flags)

"""Routes images between two networks, at random or by confidence.

Run:  python -m inception.evaluation.cascade --a=runs/small --b=runs/large
        [--share=0.5 | --confidence=0.8 | --curve] [--output=F.json] [--json]

If a random share of the images goes to A and the rest to B, accuracy and time
per image are weighted averages of both. Asking A first, and B only if A is not
confident, should do better: `--curve` measures by how much on half of the
images, and uses the other half to choose thresholds and A's temperature.
"""

from typing import Any

from absl import flags

from inception import paths
from inception.cli import commands, outputs, shared
from inception.errors import UserError
from inception.files import json_text


def define_flags() -> None:
  """Defines the flags of this command."""
  flags.DEFINE_string('a', None, 'Workdir of the faster network.')
  flags.DEFINE_string('b', None, 'Workdir of the better network.')
  shared.define_fraction('share', None, 'Fraction of images for A, at random.')
  shared.define_fraction(
    'confidence', None, "Ask B if A's confidence is at most this."
  )
  flags.DEFINE_bool('curve', False, 'Measure cascades from A alone to B alone.')
  flags.DEFINE_integer('seed', 0, 'Seed of the random share.', 0)
  flags.DEFINE_string('step', 'latest', "A step, 'best' or 'latest'.")
  flags.DEFINE_string('split', None, "By default, that of A's config.")
  flags.DEFINE_string('dataset', None, "By default, that of A's config.")
  flags.DEFINE_string('data_dir', None, "By default, that of A's config.")
  flags.DEFINE_integer(
    'images', 4096, 'Maximum number of evenly spaced images, kept in memory.', 2
  )
  shared.define_batch_size(32, 'Images per batch.')
  flags.DEFINE_string('output', None, 'JSON file for inception.reports.pareto.')
  flags.DEFINE_bool('json', False, 'Print one JSON object as the last line.')


def main() -> None:
  """Runs the requested measurements and prints a table."""
  values = flags.FLAGS
  chosen = [values.share is not None, values.confidence is not None]
  if sum([*chosen, values.curve]) != 1:
    raise UserError('set exactly one of --share, --confidence and --curve')
  folders = [shared.require(name, f'runs/{name}') for name in ('a', 'b')]
  output = shared.output('output')
  from inception.evaluation.pair import open_pair  # Slow: after the flags.

  pair = open_pair(
    folders,
    values.step,
    values.split,
    values.dataset,
    values.data_dir,
    values.images,
    values.batch_size,
  )
  if values.curve:
    a, b, points = pair.curve()
  else:
    a, b = pair.ends
    points = [
      pair.cascade(values.confidence)
      if values.share is None
      else pair.mixture(values.share, values.seed)
    ]
  report = {
    'dataset': pair.dataset,
    'data_dir': pair.data_dir,
    'a': a,
    'b': b,
    'points': points,
  }
  print(_table(report))
  if output is not None:
    paths.write_atomically(output, json_text.dump(report, indent=1))
  if values.json:
    print(json_text.dump(report))


def _table(report: dict[str, Any]) -> str:
  """Returns the networks and the points as text."""
  rows = [
    (name, '', f'{report[name]["top1"]:.2%}', _speed(report[name]), '', '')
    for name in ('a', 'b')
  ]
  for point in report['points']:
    if 'share' in point:
      name, part = f'share {point["share"]:g}', ''
      off = f'{point["deviation"]:+.2f} SE'
    else:
      name = f'a > {point["threshold"]:.4f}'
      part = f'{point["passed_on"]:.1%}'
      off = f'{100 * (point["top1"] - point["random_mix_top1"]):+.2f}'
    mix = f'{point["random_mix_top1"]:.2%}'
    rows.append((name, part, f'{point["top1"]:.2%}', _speed(point), mix, off))
  heading = ('network', 'asked B', 'top-1', 'images/s', 'random mix', 'gain')
  return outputs.format_table(heading, rows)


def _speed(point: dict[str, Any]) -> str:
  return f'{point["images_per_second"]:.1f}'


if __name__ == '__main__':
  commands.run(main, define_flags)

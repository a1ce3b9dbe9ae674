"""Draws loss, accuracy and learning rate of a run.

Run: python -m inception.analysis.curves --workdir=runs/digits [--output=F.png]
"""

from collections.abc import Mapping, Sequence
import json
import pathlib
from typing import Any

from absl import flags

from inception import commands
from inception.errors import UserError

Row = Mapping[str, Any]

METRICS_FILE = 'metrics.jsonl'
# Colours of the Okabe-Ito palette: told apart by everybody, also in print.
_COLOURS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7')


def define_flags() -> None:
  """Defines the flags of this command."""
  flags.DEFINE_string('workdir', None, 'Workdir of the run.')
  flags.DEFINE_string(
    'output', None, 'The PNG to write; unset, curves.png in the workdir.'
  )
  flags.DEFINE_bool('json', False, 'Print one JSON object as the last line.')


def main() -> None:
  """Reads the flags and draws."""
  workdir = pathlib.Path(commands.require('workdir'))
  output = pathlib.Path(flags.FLAGS.output or workdir / 'curves.png')
  draw(read_rows(workdir), output, title=str(workdir))
  print(f'curves: {output}')
  if flags.FLAGS.json:
    print(json.dumps({'output': str(output)}))


def read_rows(workdir: pathlib.Path) -> list[Row]:
  """Reads the numbers that a run logged.

  Raises:
    UserError: there are none, or the file is damaged.
  """
  path = workdir / METRICS_FILE
  try:
    lines = path.read_text().splitlines()
    rows = [json.loads(line) for line in lines]
  except OSError as error:
    raise UserError(
      f'no numbers of a run in {path}: {error.strerror}; name the workdir of'
      ' a run'
    ) from error
  except json.JSONDecodeError as error:
    raise UserError(f'{path} is damaged: {error}') from error
  if not rows:
    raise UserError(f'{path} is empty: the run has not logged a step yet')
  return rows


def draw(rows: Sequence[Row], output: pathlib.Path, title: str) -> None:
  """Draws the curves to a PNG.

  Args:
    rows: of `read_rows`.
    output: the file to write.
    title: above the curves.

  Raises:
    UserError: the file cannot be written.
  """
  from matplotlib import figure  # Slow to import: after the checks.

  splits = list(dict.fromkeys(row['split'] for row in rows))
  picture = figure.Figure(figsize=(10, 4), dpi=120, layout='constrained')
  loss, accuracy = picture.subplots(1, 2)
  for split, colour in zip(splits, _COLOURS):
    points = [row for row in rows if row['split'] == split]
    steps = [row['step'] for row in points]
    # Training is logged often, evaluation seldom: its points are worth a dot.
    style = {'color': colour, 'marker': None if split == 'train' else 'o'}
    loss.plot(steps, [row['loss'] for row in points], label=split, **style)
    top1 = [100 * row['top1'] for row in points]
    accuracy.plot(steps, top1, label=split, **style)
    if split != 'train':
      accuracy.annotate(
        f'{top1[-1]:.2f} %',
        (steps[-1], top1[-1]),
        xytext=(0, -16),
        textcoords='offset points',
        horizontalalignment='right',
        color=colour,
      )
  loss.set(
    title='Loss; in training with smoothing and auxiliary heads',
    ylabel='nats',
    yscale='log',
  )
  accuracy.set(title='Top-1 accuracy', ylabel='per cent', ylim=(0, 102))
  for axes in (loss, accuracy):
    axes.set(xlabel='step')
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    axes.spines[['top', 'right']].set_visible(False)
  picture.suptitle(title)
  try:
    picture.savefig(output)
  except OSError as error:
    raise UserError(f'cannot write {output}: {error.strerror}') from error


if __name__ == '__main__':
  commands.run(main, define_flags)

"""Plots the loss and accuracy of a run.

Run:  python -m inception.reports.curves --workdir=runs/digits [--output=F.png]
"""

from collections.abc import Sequence
from typing import Any

from absl import flags

from inception import paths
from inception.cli import commands, outputs, shared
from inception.files import json_text
from inception.observing.metrics import Row, read_rows

# The Okabe-Ito palette: distinguishable for color-blind readers and in print.
COLORS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#56B4E9', '#E69F00')


def define_flags() -> None:
  """Defines the flags of this command."""
  flags.DEFINE_string('workdir', None, 'Workdir of the run.')
  flags.DEFINE_string(
    'output', None, 'PNG, SVG or PDF to write; unset: curves.png in --workdir.'
  )
  flags.DEFINE_bool('json', False, 'Print one JSON object as the last line.')


def main() -> None:
  """Reads the flags and draws the curves."""
  workdir = paths.resolve(shared.require('workdir'))
  output = shared.output('output', outputs.picture) or workdir / 'curves.png'
  draw(read_rows(workdir), output, title=workdir.absolute().name)
  print(f'curves: {output}')
  if flags.FLAGS.json:
    print(json_text.dump({'output': str(output)}))


def draw(rows: Sequence[Row], output: paths.Path, title: str) -> None:
  """Draws rows from `read_rows` into a path from `outputs.picture`.

  Raises:
    UserError: The file cannot be written.
  """
  from matplotlib import ticker  # Slow to import.

  splits = list(dict.fromkeys(row['split'] for row in rows))
  picture = outputs.figure(10, 4)
  loss, accuracy = picture.subplots(1, 2)
  for split, color in zip(splits, COLORS):
    # An interval whose updates were all skipped has no means.
    points = [
      row
      for row in rows
      if row['split'] == split and {'loss', 'top1'} <= row.keys()
    ]
    if points:
      _draw_split(loss, accuracy, split, points, color)
  loss.set(
    title='Loss; training includes smoothing and auxiliary heads',
    ylabel='nats',
    yscale='log',
  )
  loss.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
  loss.yaxis.set_major_formatter('{x:g}')
  loss.yaxis.set_minor_formatter(ticker.NullFormatter())
  accuracy.set(title='Top-1 accuracy', ylabel='percent', ylim=(0, 102))
  for axes in (loss, accuracy):
    axes.set(xlabel='step')
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    axes.spines[['top', 'right']].set_visible(False)
  picture.suptitle(outputs.label(title))
  outputs.save(picture, output)


def _draw_split(
  loss: Any, accuracy: Any, split: str, points: Sequence[Row], color: str
) -> None:
  steps = [row['step'] for row in points]
  # Training is logged often; evaluations are few, and get markers.
  marker = None if split == 'train' else 'o'
  style = {'color': color, 'marker': marker, 'label': split}
  loss.plot(steps, [row['loss'] for row in points], **style)
  top1 = [100 * row['top1'] for row in points]
  accuracy.plot(steps, top1, **style)
  if split != 'train':
    accuracy.annotate(
      f'{top1[-1]:.2f} %',
      (steps[-1], top1[-1]),
      xytext=(0, -16),
      textcoords='offset points',
      horizontalalignment='right',
      color=color,
    )


if __name__ == '__main__':
  commands.run(main, define_flags)

"""Draws what the network sees: augmented training images, evaluation images.

Run:  python -m inception.data.show --config=configs/digits.py --output=F.png
"""

import functools
import json
import pathlib
from typing import Any

from absl import flags
import ml_collections
import numpy as np

from inception import commands
from inception.errors import UserError

_COLUMNS = 8
_TRAINING_ROWS = 4
_EVALUATION_ROWS = 2
_INCHES = 1.6  # Of an image.


def define_flags() -> None:
  """Defines the flags of this command."""
  commands.define_config('configs/digits.py')
  flags.DEFINE_string('output', 'images.png', 'The PNG to write.')
  flags.DEFINE_bool('json', False, 'Print one JSON object as the last line.')


def main() -> None:
  """Reads the flags, makes the images as a run would, and draws them."""
  from inception import config as config_lib

  config, output = flags.FLAGS.config, pathlib.Path(flags.FLAGS.output)
  if output.suffix != '.png':
    raise UserError(f'--output={output} must end in .png')
  config_lib.check(config, device_count=1)
  training = training_images(config, _COLUMNS * _TRAINING_ROWS)
  evaluation = evaluation_images(config, _COLUMNS * _EVALUATION_ROWS)
  draw(training + evaluation, len(training), output)
  print(f'images: {output}')
  if flags.FLAGS.json:
    print(json.dumps({'output': str(output)}))


def training_images(
  config: ml_collections.ConfigDict, count: int
) -> list[tuple[np.ndarray, str]]:
  """Returns the first images of a run, augmented as in its first step.

  Mixing alone differs: these images are mixed among themselves, those of a step
  with all of its batch.

  Args:
    config: a whole config.
    count: of images.

  Returns:
    uint8 [height, width, 3] and a label of one or two classes, each.
  """
  import jax
  import jax.numpy as jnp

  from inception.data import augment, datasets, pipeline

  source = datasets.open_source(config.data, config.data.train_split)
  share = pipeline.Share(count, 1)
  batch = next(
    iter(pipeline.train_batches(source, config.data, share, config.seed, 0))
  )
  # As in the training step.
  step_key = jax.random.fold_in(jax.random.key(config.seed), 0)
  key, _ = jax.random.split(step_key)
  classes = len(source.classes)
  targets = jax.nn.one_hot(batch['label'] - config.data.class_offset, classes)
  run = functools.partial(
    augment.augment, config=config.data, axis_name='batch'
  )
  images, targets = jax.pmap(
    lambda x, t: run(key, x, t, jnp.arange(count)), 'batch'
  )(batch['image'], targets)
  return [
    (_to_uint8(image), _name(target, source.classes))
    for image, target in zip(np.asarray(images[0]), np.asarray(targets[0]))
  ]


def evaluation_images(
  config: ml_collections.ConfigDict, count: int
) -> list[tuple[np.ndarray, str]]:
  """Returns the first images of the evaluation split; see `training_images`."""
  from inception.data import datasets, pipeline

  source = datasets.open_source(config.data, config.data.eval_split)
  share = pipeline.Share(count, 1)
  batch = next(iter(pipeline.eval_batches(source, config.data, share)))
  labels = batch['label'][0] - config.data.class_offset
  return [
    (image, source.classes[label])
    for image, label, mask in zip(batch['image'][0], labels, batch['mask'][0])
    if mask
  ]


def draw(
  images: list[tuple[np.ndarray, str]], training: int, output: pathlib.Path
) -> None:
  """Draws a grid: first the training images, then those of evaluation.

  Args:
    images: with their labels.
    training: how many of them are training images.
    output: the PNG to write.

  Raises:
    UserError: it cannot be written.
  """
  import matplotlib

  matplotlib.use('agg')
  from matplotlib import pyplot

  rows = -(-len(images) // _COLUMNS)
  figure, axes = pyplot.subplots(
    rows,
    _COLUMNS,
    figsize=(_INCHES * _COLUMNS, 1.2 * _INCHES * rows),
    layout='constrained',
  )
  for axis in axes.flat:
    axis.axis('off')
  for axis, (image, label) in zip(axes.flat, images):
    axis.imshow(image)
    axis.set_title(label, fontsize=7, parse_math=False)
  figure.suptitle(
    f'{training} training images, then {len(images) - training} of evaluation',
    fontsize=9,
  )
  try:
    figure.savefig(output, dpi=110)
  except OSError as error:
    raise UserError(f'cannot write {output}: {error.strerror}') from error
  finally:
    pyplot.close(figure)


def _to_uint8(image: Any) -> np.ndarray:
  return np.clip(np.round(image), 0, 255).astype(np.uint8)


def _name(target: np.ndarray, classes: tuple[str, ...]) -> str:
  best = [i for i in np.argsort(-target)[:2] if target[i] > 0.005]
  if len(best) == 1:
    return classes[best[0]]
  return ' + '.join(f'{target[i]:.0%} {classes[i]}' for i in best)


if __name__ == '__main__':
  commands.run(main, define_flags)

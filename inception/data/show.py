"""Draws what the network sees: augmented training and evaluation images.

Run:  python -m inception.data.show --config=configs/digits.py --output=F.png
"""

import functools
from typing import Any

from absl import flags
import ml_collections
import numpy as np

from inception import paths
from inception.cli import commands, outputs, shared
from inception.errors import UserError
from inception.files import json_text

_COLUMNS = 8
_TRAINING_ROWS = 4
_EVALUATION_ROWS = 2
_INCHES = 1.6  # Width of an image.

LabeledImages = list[tuple[np.ndarray, str]]


def define_flags() -> None:
  """Defines the flags of this command."""
  shared.define_config(None)
  flags.DEFINE_string('output', 'images.png', 'PNG file to write.')
  flags.DEFINE_bool('json', False, 'Print one JSON object as the last line.')


def main() -> None:
  """Reads the flags, makes the images as a run would, and draws them."""
  from inception.config import checks
  from inception.data.choices import DATA_CHOICES

  shared.require('config', 'configs/digits.py')
  config = flags.FLAGS.config
  output = outputs.picture(flags.FLAGS.output, '--output')
  for name in ('image_size', 'eval_transform', 'channel_order'):
    if config.data[name] is None:
      raise UserError(
        f'data.{name} is not set (a run takes it from its pretrained weights);'
        f' set --config.data.{name}=...'
      )
  checks.check(config, DATA_CHOICES)
  training = training_images(config, _COLUMNS * _TRAINING_ROWS)
  evaluation = evaluation_images(config, _COLUMNS * _EVALUATION_ROWS)
  draw(training, evaluation, output)
  print(f'images: {output}')
  if flags.FLAGS.json:
    print(json_text.dump({'output': str(output)}))


def training_images(
  config: ml_collections.ConfigDict, count: int
) -> LabeledImages:
  """Returns the first images of a run, augmented as in its first step.

  Only mixup and cutmix differ: these images are mixed with each other, not with
  the whole batch of the step.

  Args:
    config: The whole config of the run.
    count: Number of images.

  Returns:
    Images, uint8 [height, width, 3], each with the names of its classes.
  """
  import jax
  import jax.numpy as jnp

  from inception.data import pipeline
  from inception.data.device import augment
  from inception.data.sources import catalog
  from inception.processes.distributed import AXIS

  source = catalog.open_source(config.data, config.data.train_split)
  shard = pipeline.HostShard(count, 1)
  batch = next(
    pipeline.train_batches(source, config.data, shard, config.seed, 0)
  )
  key, _ = augment.step_keys(config.seed, 0)
  classes = len(source.classes)
  targets = jax.nn.one_hot(batch['label'] - config.data.class_offset, classes)
  run = functools.partial(
    augment.augment, key, config=config.data, axis_name=AXIS
  )
  images, targets = jax.pmap(run, AXIS)(
    batch['image'], targets, jnp.arange(count)[None]
  )
  return [
    (_to_uint8(image), _name(target, source.classes))
    for image, target in zip(np.asarray(images[0]), np.asarray(targets[0]))
  ]


def evaluation_images(
  config: ml_collections.ConfigDict, count: int
) -> LabeledImages:
  """Returns the first `count` images of the evaluation split, or all if fewer.

  In the form of `training_images`, each with the name of its class.
  """
  from inception.data import pipeline
  from inception.data.sources import catalog

  source = catalog.open_source(config.data, config.data.eval_split)
  shard = pipeline.HostShard(count, 1)
  batch = next(iter(pipeline.eval_batches(source, config.data, shard)))
  labels = batch['label'][0] - config.data.class_offset
  return [
    (image, source.classes[label])
    for image, label, mask in zip(batch['image'][0], labels, batch['mask'][0])
    if mask
  ]


def draw(
  training: LabeledImages, evaluation: LabeledImages, output: paths.Path
) -> None:
  """Draws a grid of labeled images, training images first.

  Raises:
    UserError: The file cannot be written.
  """
  images = training + evaluation
  rows = -(-len(images) // _COLUMNS)
  picture = outputs.figure(_INCHES * _COLUMNS, 1.2 * _INCHES * rows, dpi=110)
  axes = picture.subplots(rows, _COLUMNS, squeeze=False)
  for axis in axes.flat:
    axis.axis('off')
  for axis, (image, label) in zip(axes.flat, images):
    axis.imshow(image)
    axis.set_title(outputs.label(label), fontsize=7)
  picture.suptitle(
    f'{len(training)} training images, then {len(evaluation)} evaluation'
    ' images',
    fontsize=9,
  )
  outputs.save(picture, output)


def _to_uint8(image: Any) -> np.ndarray:
  return np.clip(np.round(image), 0, 255).astype(np.uint8)


def _name(target: np.ndarray, classes: tuple[str, ...]) -> str:
  best = [i for i in np.argsort(-target)[:2] if target[i] > 0.005]
  if len(best) == 1:
    return classes[best[0]]
  return ' + '.join(f'{target[i]:.0%} {classes[i]}' for i in best)


if __name__ == '__main__':
  commands.run(main, define_flags)

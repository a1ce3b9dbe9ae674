"""Completes a config from data and weights; after that it never changes."""

import json

import ml_collections
import numpy as np

from inception.checkpoints.reading import Checkpoint
from inception.checkpoints.restore import Loaded
from inception.config import compare
from inception.data import class_names
from inception.data.pixels import decode
from inception.data.sources import source
from inception.data.sources.catalog import open_source
from inception.data.sources.source import Source, overlap, relabel
from inception.errors import UserError, are, count
from inception.files import json_text
from inception.processes import distributed
from inception.training import check
from inception.training.recipe.losses import CLASS_WEIGHTS
from inception.training.recipe.schedule import make_duration
from inception.training.record import Splits
from inception.training.start import Start


def open_splits(config: ml_collections.ConfigDict) -> Splits:
  """Opens the training and evaluation splits; warns about likely mistakes.

  Raises:
    UserError: A split does not exist, or its files are damaged.
  """
  data = config.data
  train_source = open_source(data, data.train_split)
  eval_source = open_source(data, data.eval_split)
  common = overlap(train_source, eval_source)
  if common:
    distributed.warn(
      f'{count(common, "example")} {are(common)} in both'
      f' train_split={data.train_split} and eval_split={data.eval_split}:'
      ' evaluation will be too optimistic'
    )
  if config.batch_size > train_source.num_examples:
    distributed.warn(
      f'batch_size={config.batch_size} is larger than {train_source.name},'
      f' which has {count(train_source.num_examples, "image")}: steps see some'
      ' of them more than once'
    )
  return train_source, eval_source


def match_classes(
  config: ml_collections.ConfigDict, sources: Splits, start: Start
) -> Splits:
  """Chooses the order of the classes; returns the relabeled data.

  Order of preference: the checkpoint of a resumed run, the config, pretrained
  weights with the same classes, the data.

  Raises:
    UserError: The classes are not those of the checkpoint or the config, or
      training and evaluation have different ones.
  """
  train_source, eval_source = sources
  of_weights = _classes_of(start.pretrained)
  if of_weights and set(of_weights) != set(train_source.classes):
    of_weights = None
  owner, classes = next(
    (owner, classes)
    for owner, classes in (
      ('the checkpoint', _classes_of(start.checkpoint)),
      ('data.class_names', class_names.configured(config.data)),
      (config.pretrained, of_weights),
      (train_source.name, train_source.classes),
    )
    if classes is not None
  )
  if len(classes) == 1:
    distributed.warn(
      f'{train_source.name} has a single class: there is nothing to learn'
    )
  return (
    relabel(train_source, classes, owner),
    relabel(eval_source, classes, owner),
  )


def _classes_of(loaded: Checkpoint | Loaded | None) -> tuple[str, ...] | None:
  if loaded is None:
    return None
  return class_names.configured(loaded.config.data)


def complete(
  config: ml_collections.ConfigDict, train_source: Source, start: Start
) -> ml_collections.ConfigDict:
  """Returns a locked copy with fields filled in from data and weights.

  The number of classes comes from the data. Mean and deviation, if unset, come
  from the weights that training starts from, which expect images normalized
  that way.

  Raises:
    UserError: The config contradicts the data or the weights.
  """
  config = config.copy_and_resolve_references()
  config.data.class_names = train_source.classes
  config.model.num_classes = _num_classes(config, len(train_source.classes))
  num_examples = train_source.num_examples
  if config.num_steps is not None:
    epochs = config.num_steps * config.batch_size / num_examples
    check.warn_of_warmup(config, epochs)
  if config.model.batch_norm_decay is None:
    config.model.batch_norm_decay = (
      start.checkpoint.config.model.batch_norm_decay
      if start.checkpoint is not None
      else batch_norm_decay(make_duration(config, num_examples).steps)
    )
  _set_preparation(config.data, start)
  weights_config = start.weights_config
  if weights_config is not None:
    theirs = weights_config.data
    if theirs.channel_order != config.data.channel_order:
      raise UserError(
        f'pretrained={config.pretrained} expects images in'
        f' {theirs.channel_order}; set'
        f' --config.data.channel_order={theirs.channel_order}'
      )
    for name in ('mean', 'std'):
      if config.data[name] is None and theirs[name] is not None:
        config.data[name] = tuple(theirs[name])
  return config.lock()


def _set_preparation(data: ml_collections.ConfigDict, start: Start) -> None:
  """Sets how images are decoded; a resumed run keeps its settings."""
  if start.checkpoint is not None:
    theirs = start.checkpoint.config.data
    for name in ('background', 'exif_orientation'):
      data[name] = theirs[name] if data[name] is None else data[name]
  data.background = decode.background_of(data) or ()
  data.exif_orientation = decode.is_turned(data)


def class_weights(
  config: ml_collections.ConfigDict, train_source: Source
) -> np.ndarray | None:
  """Returns the weights of `Recipe.class_weights`; None where all are equal."""
  weigh = CLASS_WEIGHTS[config.loss.class_weights]
  if weigh is None:
    return None
  # The background class has no examples.
  background = np.zeros(config.data.class_offset, np.float32)
  weights = weigh(source.class_counts(train_source))
  return np.concatenate([background, weights])


def batch_norm_decay(steps: int) -> float:
  """Returns a decay with which statistics forget their start within a run.

  Moving statistics average over 1 / (1 - decay) steps: a tenth of the run's
  `steps`, and at most 100.
  """
  return min(max(1 - 10 / steps, 0.5), 0.99)


def check_same_everywhere(
  config: ml_collections.ConfigDict, *sources: Source
) -> None:
  """Checks that all processes have the same config and the same data.

  Only the path of the data may differ.

  Raises:
    UserError: They differ; raised in all processes.
  """
  fields = compare.flatten(json.loads(compare.to_json(config)))
  fields.pop('data.data_dir')
  distributed.same_everywhere(json_text.seal(fields)['digest'], 'the config')
  for split in sources:
    distributed.same_everywhere(split.digest, f'the data ({split.name})')


def _num_classes(config: ml_collections.ConfigDict, in_data: int) -> int:
  wanted = in_data + config.data.class_offset
  if config.model.num_classes not in (None, wanted):
    raise UserError(
      f'model.num_classes={config.model.num_classes} contradicts the data,'
      f' which needs {wanted}; leave the field unset or set it to {wanted}'
    )
  return wanted

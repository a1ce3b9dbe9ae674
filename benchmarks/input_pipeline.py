"""Claim: the host pipeline is nearly as fast as decoding the crops alone.

Run:  python -m benchmarks.input_pipeline [--json]

400 JPEGs of about 500 x 375 pixels; random crops of 8 to 100 % of the area,
resized to 299 x 299. The pipelines run in alternating rounds. Prints the median
images per second of each, and the medians of the rounds' ratios.

  limit        decodes the crop and does nothing else
  ours         this project on the host; augmentation runs on the device
  flax         as flax's ImageNet example: bicubic, flip, float32, normalized
  slim         as TF-slim: bilinear, flip, color distortion, float32
  torchvision  RandomResizedCrop, flip and ToTensor on Pillow, one process per
               core; null if torchvision is not installed
"""

from collections.abc import Callable, Iterator
import importlib.util
import json
import os
import pathlib
import statistics
import tempfile
import time
from typing import Any

from absl import flags

from inception.cli import commands

Pipeline = Callable[[], Iterator[Any]]

_SIDE = 299
_BATCH_SIZE = 64
_IMAGES = 400
_CORES = os.cpu_count() or 1


def define_flags() -> None:
  """Defines the flags of this command."""
  flags.DEFINE_integer(
    'rounds', 5, 'Measurements of each pipeline.', lower_bound=1
  )
  flags.DEFINE_integer(
    'batches', 12, f'Batches of {_BATCH_SIZE} images per round.', lower_bound=1
  )
  flags.DEFINE_bool('json', False, 'Print one JSON object as the last line.')


def main() -> None:
  """Measures all pipelines in turn and prints medians and ratios."""
  from benchmarks.photographs import write_photographs

  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    write_photographs(folder, _IMAGES)
    pipelines = _pipelines(folder)
    rates: dict[str, list[float]] = {name: [] for name in pipelines}
    for _ in range(flags.FLAGS.rounds):
      for name, pipeline in pipelines.items():
        rates[name].append(_images_per_second(pipeline))
  results: dict[str, Any] = {
    name: statistics.median(values) for name, values in rates.items()
  }
  results.setdefault('torchvision', None)
  for other in ('limit', 'flax'):
    results[f'ours_over_{other}'] = statistics.median(
      ours / theirs for ours, theirs in zip(rates['ours'], rates[other])
    )
  for name, value in results.items():
    print(f'{name:16} {"not installed" if value is None else f"{value:.4g}"}')
  if flags.FLAGS.json:
    print(json.dumps({**results, 'cores': _CORES}))


def _images_per_second(pipeline: Pipeline) -> float:
  """Measures a pipeline after its first batch."""
  batches = pipeline()
  next(batches)
  count = flags.FLAGS.batches
  start = time.perf_counter()
  for _ in range(count):
    next(batches)
  return count * _BATCH_SIZE / (time.perf_counter() - start)


def _pipelines(folder: pathlib.Path) -> dict[str, Pipeline]:
  paths = sorted(str(path) for path in folder.rglob('*.jpg'))
  pipelines: dict[str, Pipeline] = {
    'limit': lambda: _tensorflow(paths, _limit),
    'ours': lambda: _ours(folder),
    'flax': lambda: _tensorflow(paths, _flax),
    'slim': lambda: _tensorflow(paths, _slim),
  }
  if importlib.util.find_spec('torchvision'):
    pipelines['torchvision'] = lambda: _torchvision(folder)
  return pipelines


def _ours(folder: pathlib.Path) -> Iterator[Any]:
  from inception.config import default
  from inception.data import pipeline
  from inception.data.sources.catalog import open_source

  config = default.get_config().data
  config.dataset, config.data_dir = 'folder', str(folder)
  config.image_size = _SIDE
  shard = pipeline.HostShard(_BATCH_SIZE, 1)
  return pipeline.train_batches(
    open_source(config, 'train'), config, shard, seed=0, first_step=0
  )


def _tensorflow(
  paths: list[str], prepare: Callable[[Any, Any], Any]
) -> Iterator[Any]:
  from inception.data.tensorflow import tf

  dataset = tf.data.Dataset.from_tensor_slices(
    (paths, tf.range(len(paths), dtype=tf.int64))
  )
  options = tf.data.Options()
  options.autotune.enabled = False
  dataset = dataset.with_options(options).repeat()
  dataset = dataset.map(
    lambda path, i: prepare(tf.io.read_file(path), i), _CORES
  )
  return dataset.batch(_BATCH_SIZE).prefetch(2).as_numpy_iterator()


def _crop(encoded: Any, number: Any) -> Any:
  from inception.data.tensorflow import tf

  begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
    tf.io.extract_jpeg_shape(encoded),
    tf.zeros((1, 0, 4)),
    tf.stack([0, number]),
    min_object_covered=0.0,
    aspect_ratio_range=(3 / 4, 4 / 3),
    area_range=(0.08, 1.0),
    max_attempts=10,
    use_image_if_no_bounding_boxes=True,
  )
  window = tf.concat([begin[:2], size[:2]], 0)
  return tf.io.decode_and_crop_jpeg(encoded, window, channels=3)


def _limit(encoded: Any, number: Any) -> Any:
  return _crop(encoded, number)[0, 0, 0]


def _flax(encoded: Any, number: Any) -> Any:
  from inception.data.tensorflow import tf

  image = tf.image.resize(_crop(encoded, number), (_SIDE, _SIDE), 'bicubic')
  image = tf.image.random_flip_left_right(image)
  mean = tf.constant([0.485 * 255, 0.456 * 255, 0.406 * 255])
  return (image - mean) / tf.constant([0.229 * 255, 0.224 * 255, 0.225 * 255])


def _slim(encoded: Any, number: Any) -> Any:
  from inception.data.tensorflow import tf

  image = tf.image.resize(_crop(encoded, number), (_SIDE, _SIDE)) / 255
  image = tf.image.random_flip_left_right(image)
  image = tf.image.random_brightness(image, 32 / 255)
  image = tf.image.random_saturation(image, 0.5, 1.5)
  image = tf.image.random_hue(image, 0.2)
  image = tf.image.random_contrast(image, 0.5, 1.5)
  return tf.clip_by_value(image, 0, 1) * 2 - 1


def _torchvision(folder: pathlib.Path) -> Iterator[Any]:
  import torch
  from torchvision import datasets, transforms

  prepare = transforms.Compose(
    [
      transforms.RandomResizedCrop(_SIDE),
      transforms.RandomHorizontalFlip(),
      transforms.ToTensor(),
    ]
  )
  loader = torch.utils.data.DataLoader(
    datasets.ImageFolder(str(folder / 'train'), prepare),
    batch_size=_BATCH_SIZE,
    num_workers=_CORES,
    drop_last=True,
  )
  while True:
    yield from loader


if __name__ == '__main__':
  commands.run(main, define_flags)

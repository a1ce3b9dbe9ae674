"""Measures a generator in its own training loop.

    fid = generative.Evaluator(reference='imagenet256.npz', num_images=50_000)
    for step in range(fid.steps(batch_size)):
      fid.update(sample(parameters, jax.random.fold_in(key, step)))
    scores = fid.compute()
    fid.reset()

Nothing waits for the devices before `compute`, which gives every process the
same values.
"""

from collections.abc import Sequence
from typing import Any

from inception import paths
from inception.errors import UserError, warn
from inception.generative import (
  extractor,
  generator_images,
  measures,
  selection,
)
from inception.generative.collector import Collector
from inception.generative.extractor import Extractor
from inception.generative.generator_images import ValueRange
from inception.generative.measures import Choices
from inception.generative.reference import read_reference
from inception.generative.sample import Sample


class Evaluator:
  """Takes batches of generated images, and compares them with real ones."""

  def __init__(
    self,
    weights: paths.PathLike | Extractor = extractor.PUBLISHED,
    reference: paths.PathLike | Sample | None = None,
    num_images: int | None = None,
    *,
    metrics: Sequence[str] | None = None,
    mode: str = 'tf1',
    value_range: tuple[float, float] = (-1, 1),
    rounding: str = 'round',
    precision: str = 'float32',
    choices: Choices = measures.DEFAULT,
  ):
    """Loads the network and the reference.

    Args:
      weights: A folder or name of weights, see `load`; or an extractor.
      reference: Real images or their statistics, see `read_reference`; None
        computes only IS.
      num_images: Images to count; what exceeds them is ignored. None: all.
      metrics: Names in `METRICS`; None: all default ones that the images and
        the reference allow.
      mode: A name in `MODES`; not with an extractor.
      value_range: Of float images, (-1, 1) or (0, 1); uint8 images are pixels.
      rounding: A name in `ROUNDINGS`, for float images.
      precision: A name in `PRECISIONS`; not with an extractor.
      choices: How metrics are computed.

    Raises:
      UserError: The weights or the reference cannot be read, do not fit each
        other, or do not allow a metric; or a name is unknown.
    """
    if isinstance(weights, Extractor):
      self.extractor = weights
    else:
      self.extractor = extractor.load(weights, mode, precision)
    self._range = ValueRange(*value_range, rounding)
    self._num_images, self._choices = num_images, choices
    selection.wanted(metrics)
    self.reference = read_reference(reference, lambda: self.extractor, metrics)
    if self.reference is not None:
      selection.check_alike(self.extractor.facts, self.reference.facts)
    selection.check(metrics, self.reference, choices)
    self._metrics = metrics
    self._collector = Collector(
      self.extractor,
      self._range.to_pixels,
      selection.needs(metrics, self.reference, self.extractor, choices),
      num_images,
    )
    self._largest = 0

  def steps(self, batch_size: int) -> int:
    """Returns the number of batches that hold `num_images` images.

    Args:
      batch_size: Images per batch, of all processes.

    Raises:
      UserError: `num_images` is not set.
    """
    if self._num_images is None:
      raise UserError('num_images is not set, so any number of steps will do')
    return -(-self._num_images // batch_size)

  def update(self, images: Any) -> None:
    """Adds a batch of images, without waiting for the devices.

    Args:
      images: uint8, or floats in `value_range`: [batch, height, width, 3], or
        [devices, batch, height, width, 3] as a pmap returns them. In several
        processes, an array over all of them, or this process's share, which is
        of the same size in each.

    Raises:
      UserError: They are not images, or their values are far out of range.
    """
    generator_images.check_shape(images)
    batch = generator_images.local_batch(
      images, self._collector.devices, self._largest
    )
    if not self._collector.seen:
      self._range.check_first(images)
    self._largest = max(self._largest, batch.rows.shape[1])
    if not self._collector.full:
      self._collector.take(batch)

  def compute(self) -> dict[str, float]:
    """Returns the values of all metrics, such as {'fid': 3.94, ...}.

    Raises:
      UserError: There are fewer images than `num_images` or than a metric
        needs, or they hold NaN.
    """
    generated = self._collector.sample()
    if self.reference is not None:
      warn_of_few_images(generated, self.reference)
    names = self._metrics
    if names is None:
      names, _ = selection.possible(generated, self.reference, self._choices)
    return measures.compute(names, generated, self.reference, self._choices)

  def merge(self, other: 'Evaluator') -> None:
    """Adds the images of another evaluator, as if they came after these."""
    self._collector.merge(other._collector)

  def reset(self) -> None:
    """Forgets all images; keeps the network and the reference."""
    self._collector.reset()


def warn_of_few_images(*sides: Sample) -> None:
  """Warns of a side with fewer images than features."""
  for side in sides:
    size = side.gaussian.mean.size
    if side.count is not None and side.count <= size:
      warn(
        f'{side.count:,} images are fewer than {size:,} features: FID is far'
        ' too large, and depends on their number'
      )

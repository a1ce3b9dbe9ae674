"""Measures a generator in its own training loop.

    fid = generative.Evaluator(reference='imagenet256.npz', num_images=50_000)
    for step in range(fid.steps(batch_size)):
      fid.update(sample(parameters, jax.random.fold_in(key, step)))
    scores = fid.compute()
    fid.reset()

`update` waits at most for the batch before the last two. With several
processes, each makes an evaluator and calls its methods as often as the others
do, and `compute` gives all of them the same values.
"""

from collections.abc import Sequence
import os
from typing import Any

import jax
import numpy as np

from inception import paths
from inception.errors import UserError
from inception.generative import (
  callers_mesh,
  extractor,
  generator_images,
  measures,
  selection,
)
from inception.generative import (
  reference as references,
)
from inception.generative.collector import Collector
from inception.generative.extractor import Extractor
from inception.generative.metric_choices import DEFAULT, Choices
from inception.generative.sample import Sample
from inception.processes import distributed


class Evaluator:
  """Takes batches of generated images, and compares them with real ones."""

  @callers_mesh.ignored
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
    choices: Choices = DEFAULT,
  ):
    """Loads the network and the reference.

    Args:
      weights: A folder or name of weights, see `load`; or an extractor.
      reference: Real images or their statistics, as for `read`; None computes
        only IS. Images are measured at once; a file of their statistics, with
        features, saves that.
      num_images: Images to count; later ones are ignored. None: all.
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
    _check(num_images, choices)
    self._range = generator_images.value_range(value_range, rounding)
    self._num_images, self._choices = num_images, choices
    self._metrics = selection.listed(metrics)
    selection.check_counts(self._metrics, choices, num_images)
    self.extractor = _extractor(weights, mode, precision)
    self.reference = self._read(reference)
    selection.check(self._metrics, self.reference, choices, num_images)
    self._collector = Collector(
      self.extractor,
      self._range,
      selection.needs(self._metrics, self.reference, self.extractor, choices),
      num_images,
    )
    self._largest = 0

  def _read(self, reference: paths.PathLike | Sample | None) -> Sample | None:
    """Reads the reference, and checks that it fits the extractor."""
    if reference is None:
      return None
    if not isinstance(reference, Sample):
      if not isinstance(reference, str | os.PathLike):
        raise UserError(
          f'reference is a {type(reference).__name__}; give a path, or a Sample'
          ' as generative.read and of_features return them'
        )
      with distributed.agreed():
        side = references.open_side(os.fspath(reference))
      if side.statistics is not None:
        distributed.same_everywhere(
          side.statistics.facts['statistics_sha256'], 'the reference'
        )
      reference = references.read_side(
        side,
        lambda: self.extractor,
        selection.needs_of_real(self._metrics, self._choices),
      )
    unknown = selection.check_alike(self.extractor.facts, reference.facts)
    if unknown:
      distributed.warn(f'the reference does not state its {", ".join(unknown)}')
    selection.warn_of_differences(self.extractor.facts, reference.facts)
    return reference

  def steps(self, batch_size: int) -> int:
    """Returns the number of batches that hold `num_images` images.

    Args:
      batch_size: Images per batch, of all processes.

    Raises:
      UserError: `num_images` is not set, or the batch is empty.
    """
    if not isinstance(batch_size, int) or batch_size < 1:
      raise UserError(
        f'batch_size={batch_size!r} must be a whole number of at least 1'
      )
    if self._num_images is None:
      raise UserError('steps() needs num_images; give it to the Evaluator')
    return -(-self._num_images // batch_size)

  @callers_mesh.ignored
  def update(self, images: Any) -> None:
    """Adds a batch of images.

    Args:
      images: uint8, or floats in `value_range`: [batch, height, width, 3], or
        [devices, batch, height, width, 3] as a pmap returns them. In several
        processes, an array over all of them, or this process's share, which is
        of the same size in each.

    Raises:
      UserError: They are not images, or their values are far out of range.
    """
    if not isinstance(images, jax.Array):
      images = np.asarray(images)
    generator_images.check_shape(images)
    if self._collector.full:
      return
    batch = generator_images.local_batch(
      images, self._collector.devices, self._largest
    )
    if not self._collector.seen:
      # Each process checks its own images.
      with distributed.agreed():
        self._range.check_first(images)
    self._largest = max(self._largest, batch.rows.shape[1])
    self._collector.take(batch)

  @callers_mesh.ignored
  def compute(self) -> dict[str, float]:
    """Returns the values of all metrics, such as {'fid': 3.94, ...}.

    Raises:
      UserError: There are fewer images than `num_images` or than a metric
        needs, or they hold NaN.
    """
    generated = self._collector.sample()
    names: Sequence[str] | None = self._metrics
    if names is None:
      names, _ = selection.possible(generated, self.reference, self._choices)
    selection.warn_of_few_images(names, generated, self.reference)
    return measures.compute(names, generated, self.reference, self._choices)

  @callers_mesh.ignored
  def merge(self, other: 'Evaluator') -> None:
    """Adds the images of another evaluator, as if they came after these.

    `num_images` limits what each takes by itself, not their sum.

    Raises:
      UserError: It prepares images differently, or has other weights.
    """
    if not isinstance(other, Evaluator) or other is self:
      raise UserError('merge takes another Evaluator')
    one, two = self.extractor.facts, other.extractor.facts
    selection.check_alike(one, two)
    selection.warn_of_differences(one, two)
    self._collector.merge(other._collector)

  def reset(self) -> None:
    """Forgets all images; keeps the network and the reference."""
    self._collector.reset()


def _check(num_images: Any, choices: Any) -> None:
  is_count = isinstance(num_images, int) and num_images >= 2
  if num_images is not None and not is_count:
    raise UserError(
      f'num_images={num_images!r} must be a whole number of at least 2'
    )
  if not isinstance(choices, Choices):
    raise UserError('choices must be generative.Choices(...)')


def _extractor(
  weights: paths.PathLike | Extractor, mode: str, precision: str
) -> Extractor:
  if not isinstance(weights, Extractor):
    if not isinstance(weights, str | os.PathLike):
      raise UserError(
        f'weights is a {type(weights).__name__}; give a folder, a name, or an'
        ' extractor, such as generative.custom returns'
      )
    return extractor.load(weights, mode, precision)
  if (mode, precision) != ('tf1', 'float32'):
    raise UserError('mode and precision are those of the extractor')
  return weights

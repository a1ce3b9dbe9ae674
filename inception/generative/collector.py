"""Collects the features of a stream of images, and their statistics."""

from collections.abc import Sequence
import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from inception.errors import UserError
from inception.generative import (
  gathering,
  generator_images,
  modes,
  moments,
  update_programs,
)
from inception.generative.extractor import Extractor
from inception.generative.generator_images import LocalBatch, ValueRange
from inception.generative.sample import (
  LOGITS,
  SPATIAL,
  Sample,
  merge_samples,
)
from inception.generative.update_programs import MAIN
from inception.processes import distributed
from inception.processes.device_program import pmap

Array = jax.Array

# Batches that may wait on the devices.
_WAITING = 2


@dataclasses.dataclass(frozen=True)
class Kept:
  """Features of a batch that are kept: by name, [local devices, batch, size].

  Attributes:
    last: An output of the batch, to wait for.
    arrays: By the name of the features.
    rows: Index of each image among all; -1 for one that does not count.
  """

  last: Any
  arrays: dict[str, Any]
  rows: np.ndarray


class Collector:
  """Takes images on this process's devices; combines processes at the end.

  Statistics are kept on the devices, and their size does not depend on the
  number of images. Features are kept on the host, if they are needed.
  """

  def __init__(
    self,
    extractor: Extractor,
    value_range: ValueRange = generator_images.PIXELS,
    keep: Sequence[str] = (),
    num_images: int | None = None,
  ):
    """Prepares to take images.

    Args:
      extractor: Function from images to features.
      value_range: Of float images.
      keep: What to keep of every image: 'features', 'logits', or both.
      num_images: Images to count; those after them are ignored. None: all.
    """
    self.devices = jax.local_devices()
    self._extractor = extractor
    self._value_range = value_range
    self._keep = tuple(keep)
    self._num_images = num_images
    self._variables = distributed.replicate(extractor.variables, self.devices)
    self.reset()

  def reset(self) -> None:
    """Forgets all images."""
    self.seen = 0
    self._state: Any = None
    self._waiting: list[Kept] = []
    self._kept: list[Kept] = []
    self._merged: list[Sample] = []

  @property
  def takes_any_size(self) -> bool:
    """True if images may have several sizes."""
    return self._extractor.mode is not None

  @property
  def full(self) -> bool:
    """True if all images that count have been taken."""
    return self._num_images is not None and self.seen >= self._num_images

  def take(self, batch: LocalBatch) -> None:
    """Takes a batch of images of one size.

    Waits at most for the batch before the last two.
    """
    run = update_programs.prepare(self._extractor.mode, self._value_range)
    axes = None
    if self._extractor.mode is not None:
      mode = modes.find(self._extractor.mode)
      axes = modes.resizes(mode, *batch.images.shape[2:4])
    self._update(run(axes, batch.images), batch)

  def take_prepared(self, batch: LocalBatch) -> None:
    """Takes a batch of images from `prepare_one`."""
    self._update(batch.images, batch)

  def _update(self, prepared: Any, batch: LocalBatch) -> None:
    rows = np.where(batch.rows >= 0, batch.rows + self.seen, -1)
    if self._num_images is not None:
      rows = np.where(rows < self._num_images, rows, -1)
    self.seen += batch.total
    if self._state is None:
      self._state = self._empty(prepared)
    step = update_programs.add(
      self._extractor.function,
      self._extractor.main,
      tuple(self._extractor.options.items()),
    )
    self._state, kept = step(
      self._variables, self._state, prepared, rows.astype(np.int32)
    )
    arrays = {name: kept[name] for name in self._keep}
    self._waiting.append(Kept(kept['features'], arrays, rows))
    while len(self._waiting) > _WAITING:
      self._fetch()

  def _fetch(self) -> None:
    """Waits for the oldest batch; moves its features to the host."""
    kept = self._waiting.pop(0)
    jax.block_until_ready(kept.last)
    if self._keep:
      arrays = jax.tree.map(np.asarray, kept.arrays)
      self._kept.append(Kept(None, arrays, kept.rows))

  def prepare_one(self, image: np.ndarray) -> Array:
    """Prepares one image, uint8 [height, width, 3], of any size."""
    assert self._extractor.mode is not None
    height, width = image.shape[:2]
    padded = modes.padded_size(height, width)
    frame = np.zeros((1, *padded, 3), np.uint8)
    frame[0, :height, :width] = image
    mode = modes.find(self._extractor.mode)
    axes = modes.resizes(mode, height, width, padded)
    return update_programs.resize(self._extractor.mode, axes, frame)[0]

  def _empty(self, prepared: Any) -> Any:
    """Returns the state before any image."""
    found = jax.eval_shape(
      self._extractor.function,
      self._extractor.variables,
      jax.ShapeDtypeStruct(prepared.shape[1:], prepared.dtype),
    )
    named = {MAIN: self._extractor.main, SPATIAL: SPATIAL}
    sizes = {n: found[of].shape[1] for n, of in named.items() if of in found}

    def empty(_: Array) -> Any:
      return {
        name: jax.tree.map(
          lambda x, parts=update_programs.PARTS[name]: jnp.stack([x] * parts),
          moments.empty(size),
        )
        for name, size in sizes.items()
      }

    return pmap(empty, {}, devices=self.devices)(np.zeros(len(self.devices)))

  def merge(self, other: 'Collector') -> None:
    """Adds the images of another collector, after those taken so far.

    Raises:
      UserError: It reads float images differently, or does not keep the same.
    """
    if (self._value_range, self._keep) != (other._value_range, other._keep):
      raise UserError(
        'the two have other metrics, or another value_range or rounding'
      )
    self._merged += other._samples()

  def sample(self) -> Sample:
    """Returns what was collected, of all processes: the same in each.

    Raises:
      UserError: There were fewer than two images, or than `num_images`; or
        features are not finite.
    """
    samples = self._samples()
    if not samples:
      raise UserError('no images were given')
    found = functools.reduce(merge_samples, samples)
    moments.combine([found.gaussian])  # Checks it.
    count = found.count or 0
    if self._num_images is not None and count < self._num_images:
      raise UserError(
        f'num_images={self._num_images:,} images were asked for, but there are'
        f' {count:,}'
      )
    return found

  def _samples(self) -> list[Sample]:
    """Returns the images taken, if any, and those merged."""
    distributed.same_everywhere(str(self.seen), 'the number of images')
    if self._state is None:
      return self._merged
    while self._waiting:
      self._fetch()
    parts = {
      name: gathering.across_processes(state)
      for name, state in self._state.items()
    }
    whole = {name: moments.combine_any(some) for name, some in parts.items()}
    one, other = parts[MAIN]
    kept = {need: self._in_order(need) for need in self._keep}
    own = Sample(
      whole[MAIN],
      whole.get(SPATIAL),
      (one, other),
      kept.get('features'),
      kept.get(LOGITS),
      dict(self._extractor.facts),
    )
    return [own, *self._merged]

  def _in_order(self, name: str) -> np.ndarray:
    """Returns kept features of all processes, [images, size], in order."""
    features = np.concatenate(
      [k.arrays[name].reshape(-1, k.arrays[name].shape[-1]) for k in self._kept]
    )
    rows = np.concatenate([k.rows.reshape(-1) for k in self._kept])
    features, rows = features[rows >= 0], rows[rows >= 0]
    order = np.argsort(gathering.gather_rows(rows))
    return gathering.gather_rows(features)[order]

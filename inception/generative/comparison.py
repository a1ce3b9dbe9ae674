"""Compares two sides from disk, with a report that says how."""

from collections.abc import Sequence
import dataclasses
import functools
from importlib import metadata
from typing import Any

from inception.errors import warn
from inception.generative import extractor, measures, reference, selection
from inception.generative.evaluator import warn_of_few_images
from inception.generative.measures import Choices
from inception.generative.sample import LOGITS, Sample

# Values that are the deviation of another one.
_DEVIATIONS = {
  'fid_error': 'fid',
  'is_std': 'is',
  'kid_std': 'kid',
  'kid_error': 'kid_of_all',
}


@dataclasses.dataclass(frozen=True)
class How:
  """How sides are compared: flags of the command.

  Attributes:
    metrics: Names in `METRICS`; None: the default ones.
    mode: A name in `MODES`.
    weights: A folder or a name.
    precision: A name in `PRECISIONS`.
    num_images: Generated images to use; None: all.
    crop: Side to crop pictures to; None: not cropped.
    batch_size: Images per step.
    keep_all: Keep features and logits of generated images in any case.
    choices: How metrics are computed.
  """

  metrics: Sequence[str] | None
  mode: str
  weights: str
  precision: str
  num_images: int | None
  crop: int | None
  batch_size: int
  keep_all: bool
  choices: Choices


@dataclasses.dataclass(frozen=True)
class Compared:
  """A comparison.

  Attributes:
    generated: The generated side.
    report: `scores`, `left_out` and `facts`, JSON-serializable.
  """

  generated: Sample
  report: dict[str, Any]


def compare(where: str, real: str | None, how: How) -> Compared:
  """Compares generated images with real ones.

  Args:
    where: Generated images or their statistics.
    real: Real images or their statistics; None: IS and statistics only.
    how: How.

  Raises:
    UserError: A side cannot be read or lacks something, or the sides do not
      fit each other.
  """
  load = functools.cache(
    lambda: extractor.load(how.weights, how.mode, how.precision)
  )
  selection.wanted(how.metrics)
  if real is not None:
    _check_alike(where, real, load)
  read = functools.partial(
    reference.read, extractor=load, crop=how.crop, batch_size=how.batch_size
  )
  known = reference.read_reference(
    real, load, how.metrics, crop=how.crop, batch_size=how.batch_size
  )
  selection.check(how.metrics, known, how.choices)
  keep: tuple[str, ...] = ()
  if reference.statistics_of(where) is None:
    keep = selection.needs(how.metrics, known, load(), how.choices)
    if how.keep_all or how.choices.bootstrap:
      keep = ('features', *((LOGITS,) if LOGITS in load().also else ()))
  generated = read(where, keep=keep, num_images=how.num_images)
  names, left_out = selection.possible(generated, known, how.choices)
  if how.metrics is not None:
    names, left_out = list(how.metrics), {}
  _warn(generated, known)
  scores = measures.compute(names, generated, known, how.choices)
  facts = _facts(generated, known, how)
  return Compared(
    generated, {'scores': _pair(scores), 'left_out': left_out, 'facts': facts}
  )


def _check_alike(where: str, real: str, load: Any) -> None:
  """Checks that both sides are made alike, before images are read."""
  sides = [reference.statistics_of(side) for side in (where, real)]
  facts = [load().facts if side is None else side.facts for side in sides]
  if unknown := selection.check_alike(*facts):
    warn(f'the statistics do not state their {", ".join(unknown)}')


def _warn(*sides: Sample | None) -> None:
  known = [side for side in sides if side is not None]
  warn_of_few_images(*known)
  if {side.facts.get('is_jpeg') for side in known} >= {True, False}:
    warn(
      'one side is JPEGs and the other is not: FID also measures compression'
    )


def _pair(scores: dict[str, float]) -> dict[str, dict[str, float]]:
  """Returns values with their deviations, by name."""
  pairs = {
    name: {'value': value}
    for name, value in scores.items()
    if name not in _DEVIATIONS
  }
  for name, of in _DEVIATIONS.items():
    if name in scores:
      pairs[of]['deviation'] = scores[name]
  return pairs


def _facts(generated: Sample, real: Sample | None, how: How) -> dict[str, Any]:
  """Returns what is needed to repeat a comparison."""
  facts = {
    'generated_images': generated.count,
    'mode': generated.facts.get('mode'),
    'precision': generated.facts.get('precision'),
    'weights_sha256': generated.facts.get('weights_sha256'),
    'weights': generated.facts.get('weights_are'),
    'crop': how.crop,
    'is_order': how.choices.is_order,
    'version': f'inception {metadata.version("inception-jax")}',
  }
  if real is not None:
    facts['real_images'] = real.count
    facts['real_images_for_features'] = real.facts.get('images_for_features')
    facts['real_statistics_sha256'] = real.facts.get('statistics_sha256')
  if (of := generated.facts.get('statistics_sha256')) is not None:
    facts['generated_statistics_sha256'] = of
  return {name: value for name, value in facts.items() if value is not None}

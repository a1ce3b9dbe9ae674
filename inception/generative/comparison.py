"""Compares two sides from disk, with a report that says options."""

from collections.abc import Callable, Sequence
import dataclasses
import functools
from importlib import metadata
from typing import Any

from inception.errors import lookup, warn
from inception.generative import (
  extractor,
  measures,
  modes,
  reference,
  selection,
)
from inception.generative.evaluator import warn_of_few_images
from inception.generative.extractor import Extractor
from inception.generative.measures import Choices
from inception.generative.reference import Side
from inception.generative.sample import LOGITS, Sample
from inception.modules.options import PRECISIONS

# Values that are the deviation of another one.
_DEVIATIONS = {
  'fid_error': 'fid',
  'is_std': 'is',
  'kid_std': 'kid',
  'kid_error': 'kid_of_all',
}


@dataclasses.dataclass(frozen=True)
class Options:
  """How sides are compared: flags of the command.

  Attributes:
    metrics: Names in `METRICS`; None: the default ones.
    mode: A name in `MODES`.
    weights: A folder or a name.
    data_dir: Folder of TFDS data sets; None: its default.
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
  data_dir: str | None
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


def compare(generated: str, real: str | None, options: Options) -> Compared:
  """Compares generated images with real ones.

  Args:
    generated: Generated images or their statistics.
    real: Real images or their statistics; None: IS and statistics only.
    options: How they are compared.

  Raises:
    UserError: A side cannot be read or lacks something, or the sides do not
      fit each other.
  """
  metrics, choices = options.metrics, options.choices
  selection.wanted(metrics)
  modes.find(options.mode)
  lookup(PRECISIONS, options.precision, 'precision')
  # All that can be wrong with the sides is found before images are read.
  one = reference.open_side(generated, options.crop, options.data_dir)
  images = reference.check_count(one, options.num_images)
  other = None
  if real is not None:
    other = reference.open_side(real, options.crop, options.data_dir)
  load = functools.cache(
    lambda: extractor.load(options.weights, options.mode, options.precision)
  )
  if other is not None:
    _check_alike(one, other, load)
  known = None
  if other is not None:
    known = reference.read_reference(other, load, metrics, options.batch_size)
  selection.check(metrics, known, choices, images)
  keep: tuple[str, ...] = ()
  if images is not None:
    keep = selection.needs(metrics, known, load(), choices)
    if options.keep_all or choices.bootstrap:
      keep = ('features', *((LOGITS,) if LOGITS in load().also else ()))
  found = reference.read(one, load, keep, images, options.batch_size)
  names, left_out = selection.possible(found, known, choices)
  if metrics is not None:
    names, left_out = list(metrics), {}
  _warn(found, known)
  scores = measures.compute(names, found, known, choices)
  facts = _facts(found, known, choices)
  return Compared(
    found, {'scores': _pair(scores), 'left_out': left_out, 'facts': facts}
  )


def _check_alike(one: Side, other: Side, load: Callable[[], Extractor]) -> None:
  """Checks that both sides are made alike."""
  facts = [
    load().facts if side.statistics is None else side.statistics.facts
    for side in (one, other)
  ]
  if unknown := selection.check_alike(*facts):
    warn(f'the statistics do not state their {", ".join(unknown)}')


def _warn(*sides: Sample | None) -> None:
  known = [side for side in sides if side is not None]
  warn_of_few_images(*known)
  if precisions := {x.facts.get('precision', 'float32') for x in known} - {
    'float32'
  }:
    warn(f'in {", ".join(precisions)}: not comparable with published values')
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


def _facts(
  generated: Sample, real: Sample | None, choices: Choices
) -> dict[str, Any]:
  """Returns what is needed to repeat a comparison."""
  facts = {
    'generated_images': generated.count,
    'mode': generated.facts.get('mode'),
    'precision': generated.facts.get('precision'),
    'weights_sha256': generated.facts.get('weights_sha256'),
    'weights': generated.facts.get('weights_are'),
    'crop': generated.facts.get('crop'),
    'is_order': choices.is_order,
    'version': f'inception {metadata.version("inception-jax")}',
  }
  if real is not None:
    facts['real_images'] = real.count
    facts['real_images_for_features'] = real.facts.get('images_for_features')
    facts['real_statistics_sha256'] = real.facts.get('statistics_sha256')
  if (of := generated.facts.get('statistics_sha256')) is not None:
    facts['generated_statistics_sha256'] = of
  return {name: value for name, value in facts.items() if value is not None}

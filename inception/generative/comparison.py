"""Compares two sides from disk; reports values and how they were made."""

from collections.abc import Callable, Sequence
import dataclasses
import functools
from importlib import metadata
from typing import Any

from inception.errors import UserError, lookup, warn
from inception.generative import (
  extractor,
  measures,
  modes,
  reference,
  selection,
)
from inception.generative.extractor import Extractor
from inception.generative.metric_choices import Choices
from inception.generative.reference import Side
from inception.generative.sample import LOGITS, Sample
from inception.modules.options import PRECISIONS

# Values that are the spread of another value, and its kind.
_SPREADS = {
  'fid_error': ('fid', 'standard_error'),
  'is_std': ('is', 'std_of_splits'),
  'kid_std': ('kid', 'std_of_subsets'),
  'kid_error': ('kid_of_all', 'standard_error'),
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
    batch_size: Images per step; None: 32 per device.
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
  batch_size: int | None
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
  metrics, choices = selection.listed(options.metrics), options.choices
  modes.find(options.mode)
  lookup(PRECISIONS, options.precision, 'precision')
  # All that can be wrong with the sides is found before images are read.
  one, other, images = _open(generated, real, options)
  load = functools.cache(
    lambda: extractor.load(options.weights, options.mode, options.precision)
  )
  _check_alike(one, other, options.mode, load)
  known = None
  if other is not None:
    keep = selection.needs_of_real(metrics, choices)
    known = reference.read_side(other, load, keep, None, options.batch_size)
  selection.check(metrics, known, choices, images)
  keep = ()
  if images is not None:
    keep = selection.needs(metrics, known, load(), choices)
    if options.keep_all:
      keep = ('features', *((LOGITS,) if LOGITS in load().others else ()))
  found = reference.read_side(one, load, keep, images, options.batch_size)
  names, left_out = selection.possible(found, known, choices)
  if metrics is not None:
    names, left_out = list(metrics), {}
  selection.warn_of_few_images(names, found, known)
  if known is not None:
    selection.warn_of_differences(found.facts, known.facts)
  scores = _pair(measures.compute(names, found, known, choices))
  facts = {
    'generated': generated,
    'real': real,
    **_facts(found, known),
    **(_choices(names, choices)),
    'version': _version(),
  }
  known_facts = {k: value for k, value in facts.items() if value is not None}
  return Compared(
    found, {'scores': scores, 'left_out': left_out, 'facts': known_facts}
  )


def _open(
  generated: str, real: str | None, options: Options
) -> tuple[Side, Side | None, int | None]:
  """Opens both sides; returns them and the number of images to generate."""
  one = reference.open_side(generated, options.crop, options.data_dir)
  images = reference.number_of_images(one, options.num_images)
  other, others = None, None
  if real is not None:
    other = reference.open_side(real, options.crop, options.data_dir)
    others = reference.number_of_images(other)
  if options.crop is not None and images is None and others is None:
    raise UserError(f'{generated} holds statistics; crop is for images')
  if one.pictures is None:
    assert one.statistics is not None
    _check_statistics(one.statistics, options)
  selection.check_counts(options.metrics, options.choices, images, others)
  return one, other, images


def _check_statistics(generated: Sample, options: Options) -> None:
  """Checks that statistics of generated images have what is asked of them."""
  for name in options.metrics or ():
    if lack := measures.METRICS[name].lack_of_generated(generated):
      raise UserError(f'{name} cannot be computed: {lack}')
  if options.keep_all and generated.features is None:
    raise UserError(
      'the generated side is statistics without features: none can be saved'
    )


def _check_alike(
  one: Side, other: Side | None, mode: str, load: Callable[[], Extractor]
) -> None:
  """Checks that both sides are made alike, and in the mode of the run."""
  sides = [side for side in (one, other) if side is not None]
  for side in sides:
    stated = side.statistics and side.statistics.facts.get('mode')
    if stated not in (None, mode):
      raise UserError(
        f'the mode of {side.name} is {stated}, that of this run is {mode}'
      )
  if other is None and one.statistics is None:
    return
  facts = [
    load().facts if side.statistics is None else side.statistics.facts
    for side in sides
  ]
  if unknown := selection.check_alike(facts[0], facts[-1]):
    warn(f'the statistics do not state their {", ".join(unknown)}')


def _pair(scores: dict[str, float]) -> dict[str, dict[str, float]]:
  """Returns values with their spreads, by name."""
  pairs = {
    name: {'value': value}
    for name, value in scores.items()
    if name not in _SPREADS
  }
  for name, (of, kind) in _SPREADS.items():
    if name in scores:
      pairs[of][kind] = scores[name]
  return pairs


def _facts(generated: Sample, real: Sample | None) -> dict[str, Any]:
  """Returns what the sides were made with."""
  own = generated.facts
  facts = {
    'generated_images': generated.count,
    'generated_statistics_sha256': own.get('statistics_sha256'),
    'generated_images_for_features': own.get('images_for_features'),
    'mode': own.get('mode'),
    'precision': own.get('precision'),
    'crop': own.get('crop') or None,
    'weights_sha256': own.get('weights_sha256'),
    'variables_sha256': own.get('variables_sha256'),
    'weights': own.get('weights_are'),
  }
  if real is not None:
    facts |= {
      'real_images': real.count,
      'real_statistics_sha256': real.facts.get('statistics_sha256'),
      'real_images_for_features': real.facts.get('images_for_features'),
      'real_precision': real.facts.get('precision'),
      'real_crop': real.facts.get('crop') or None,
    }
  return facts


def _choices(names: Sequence[str], choices: Choices) -> dict[str, Any]:
  """Returns how metrics were computed, where there are several ways."""
  facts: dict[str, Any] = {}
  if 'is' in names:
    facts['is_order'] = choices.is_order
  if 'kid' in names:
    facts['kid_subsets'] = choices.subsets
    facts['kid_subset_size'] = choices.subset_size
  if choices.bootstrap:
    facts['bootstrap'] = choices.bootstrap
  return facts


def _version() -> str | None:
  try:
    return f'inception {metadata.version("inception-jax")}'
  except metadata.PackageNotFoundError:  # In a clone that is not installed.
    return None

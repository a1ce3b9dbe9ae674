"""The metrics by name: what each needs to know of both sides, and its value."""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
from typing import Any

import numpy as np

from inception.errors import UserError, lookup
from inception.generative import (
  class_score,
  frechet,
  kernels,
  manifold,
  sliced,
)
from inception.generative.extractor import Extractor
from inception.generative.sample import LOGITS, SPATIAL, Sample


@dataclasses.dataclass(frozen=True)
class Choices:
  """How metrics are computed.

  Attributes:
    is_order: A name in `class_score.ORDERS`.
    subsets: Of KID.
    subset_size: Images of each side in a subset of KID.
    smallest: Images in the smallest subset of FID-infinity.
    bootstrap: Resamples for standard errors of FID and KID; 0: none.
  """

  is_order: str = 'shuffled'
  subsets: int = kernels.SUBSETS
  subset_size: int = kernels.SUBSET_SIZE
  smallest: int = frechet.SMALLEST_SUBSET
  bootstrap: int = 0


DEFAULT = Choices()


@dataclasses.dataclass(frozen=True)
class Metric:
  """A metric.

  Attributes:
    generated: What it needs of generated images: 'features', 'logits',
      'spatial' or 'main', the last two for statistics.
    real: What it needs of real images; empty if it does not need them.
    compute: Returns values by name, from both sides.
    is_default: It is among those computed if none are named.
  """

  generated: str
  real: str
  compute: Callable[[Sample, Sample, Choices], dict[str, float]]
  is_default: bool = True


def _fid(generated: Sample, real: Sample, choices: Choices) -> dict[str, float]:
  distance = frechet.frechet_distance(generated.gaussian, real.gaussian)
  found = {'fid': distance}
  if generated.halves is not None:
    counts = generated.count, real.count
    found['fid_bias'] = frechet.bias(generated.halves, counts)
  if choices.bootstrap and generated.features is not None:
    found['fid_error'] = _fid_error(generated, real, choices)
  return found


def _fid_error(generated: Sample, real: Sample, choices: Choices) -> float:
  assert generated.features is not None
  of = frechet.of_features
  if real.features is None:  # Only the generated images can be resampled.
    return frechet.bootstrap_error(
      lambda x: frechet.frechet_distance(of(x), real.gaussian),
      generated.features,
      resamples=choices.bootstrap,
    )
  return frechet.bootstrap_error(
    lambda x, y: frechet.frechet_distance(of(x), of(y)),
    generated.features,
    real.features,
    resamples=choices.bootstrap,
  )


def _sfid(generated: Sample, real: Sample, _: Choices) -> dict[str, float]:
  assert generated.spatial is not None and real.spatial is not None
  return {'sfid': frechet.frechet_distance(generated.spatial, real.spatial)}


def _is(generated: Sample, _: Sample, choices: Choices) -> dict[str, float]:
  assert generated.logits is not None
  mean, deviation = class_score.inception_score(
    generated.logits, choices.is_order
  )
  return {'is': mean, 'is_std': deviation}


def _kid(generated: Sample, real: Sample, choices: Choices) -> dict[str, float]:
  pair = _features(generated, real)
  mean, deviation = kernels.kernel_distance(
    *pair, subsets=choices.subsets, subset_size=choices.subset_size
  )
  found = {
    'kid': mean,
    'kid_std': deviation,
    'kid_of_all': kernels.kernel_distance_of_all(*pair),
  }
  if choices.bootstrap:
    found['kid_error'] = frechet.bootstrap_error(
      kernels.kernel_distance_of_all,
      *pair,
      resamples=choices.bootstrap,
    )
  return found


def _precision_recall(
  generated: Sample, real: Sample, _: Choices
) -> dict[str, float]:
  pair = manifold.precision_recall(*_features(generated, real))
  return dict(zip(('precision', 'recall'), pair))


def _density_coverage(
  generated: Sample, real: Sample, _: Choices
) -> dict[str, float]:
  pair = manifold.density_coverage(*_features(generated, real))
  return dict(zip(('density', 'coverage'), pair))


def _fid_infinity(
  generated: Sample, real: Sample, choices: Choices
) -> dict[str, float]:
  assert generated.features is not None
  value = frechet.frechet_infinity(
    generated.features, real.gaussian, choices.smallest
  )
  return {'fid_infinity': value}


def _mind(generated: Sample, real: Sample, _: Choices) -> dict[str, float]:
  return {'mind': sliced.monge_distance(*_features(generated, real))}


def _features(generated: Sample, real: Sample) -> tuple[np.ndarray, np.ndarray]:
  assert generated.features is not None and real.features is not None
  return generated.features, real.features


METRICS = {
  'fid': Metric('main', 'main', _fid),
  'sfid': Metric(SPATIAL, SPATIAL, _sfid),
  'is': Metric(LOGITS, '', _is),
  'kid': Metric('features', 'features', _kid),
  'precision_recall': Metric('features', 'features', _precision_recall),
  'density_coverage': Metric('features', 'features', _density_coverage, False),
  'fid_infinity': Metric('features', 'main', _fid_infinity, False),
  'mind': Metric('features', 'features', _mind, False),
}


def find(names: Sequence[str]) -> dict[str, Metric]:
  """Returns metrics by name.

  Raises:
    UserError: There is no such metric.
  """
  return {name: lookup(METRICS, name, 'metrics') for name in names}


def lacking(metric: Metric, generated: Sample, real: Sample | None) -> str:
  """Returns what a metric lacks, as the end of a sentence; '' if nothing."""
  lack = _lack(metric.generated, generated, 'generated')
  return lack or lacking_real(metric, real)


def lacking_real(metric: Metric, real: Sample | None) -> str:
  """Returns what a metric lacks of the real side; '' if nothing."""
  if not metric.real:
    return ''
  if real is None:
    return 'there are no real images'
  return _lack(metric.real, real, 'real')


def _lack(need: str, side: Sample, name: str) -> str:
  match need:
    case 'features' if side.features is None:
      return f'the {name} side is statistics, without features'
    case 'logits' if side.logits is None:
      return f'the {name} side has no logits'
    case 'spatial' if side.spatial is None:
      return f'the {name} side has no statistics for it'
  return ''


def compute(
  names: Sequence[str],
  generated: Sample,
  real: Sample | None,
  choices: Choices = DEFAULT,
) -> dict[str, float]:
  """Returns the values of metrics, such as {'fid': 3.94, 'fid_bias': 0.1}.

  Raises:
    UserError: A metric is unknown, lacks something, or has too few images.
  """
  values: dict[str, float] = {}
  for name, metric in find(names).items():
    if lack := lacking(metric, generated, real):
      raise UserError(f'{name} cannot be computed: {lack}')
    values |= metric.compute(generated, real or generated, choices)
  return values


def possible(
  generated: Sample, real: Sample | None, choices: Choices = DEFAULT
) -> tuple[list[str], dict[str, str]]:
  """Returns the default metrics that two sides allow, and why not the others.

  Returns:
    Names of metrics, and reasons by the names of the others.
  """
  names, reasons = [], {}
  for name, metric in METRICS.items():
    if not metric.is_default:
      continue
    lack = lacking(metric, generated, real)
    if name == 'kid' and not lack and real is not None:
      least = min(map(len, _features(generated, real)))
      if least < choices.subset_size:
        lack = f'a side has {least:,} images, fewer than a subset'
    if lack:
      reasons[name] = lack
    else:
      names.append(name)
  return names, reasons


def wanted(names: Sequence[str] | None) -> dict[str, Metric]:
  """Returns the metrics of some names; None: the default ones."""
  if names is not None:
    return find(names)
  return {name: metric for name, metric in METRICS.items() if metric.is_default}


def check(names: Sequence[str] | None, real: Sample | None) -> None:
  """Checks that the real side allows metrics, before others are computed.

  Raises:
    UserError: It does not.
  """
  for name, metric in find(names or ()).items():
    if lack := lacking_real(metric, real):
      raise UserError(f'{name} cannot be computed: {lack}')


def needs(
  names: Sequence[str] | None, real: Sample | None, of: Extractor
) -> tuple[str, ...]:
  """Returns what to keep of every generated image: 'features', 'logits'.

  Args:
    names: Of metrics; None: the default ones that the real side allows.
    real: The real side.
    of: Extractor of the generated side.

  Raises:
    UserError: The extractor does not give what a named metric needs.
  """
  metrics = wanted(names)
  if names is None:
    metrics = {n: m for n, m in metrics.items() if not lacking_real(m, real)}
  kept = []
  for name, metric in metrics.items():
    need = metric.generated
    if need in ('main', 'features') or need in of.also:
      kept.append(need)
    elif names is not None:
      raise UserError(f'{name} cannot be computed: {of.name} has no {need}')
  return tuple(need for need in ('features', LOGITS) if need in kept)


def check_alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
  """Compares how two sides were made; returns what one does not state.

  Args:
    one: Facts of a side.
    other: Facts of the other.

  Raises:
    UserError: They state different modes, features or weights.
  """
  unknown = []
  for name in ('mode', 'feature', 'weights_sha256'):
    if None in (one.get(name), other.get(name)):
      unknown.append(name)
    elif one[name] != other[name]:
      raise UserError(
        f'the two sides differ: {name} is {one[name]} for one and'
        f' {other[name]} for the other'
      )
  return unknown

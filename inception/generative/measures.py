"""The metrics by name: what each needs to know of both sides, and its value."""

from collections.abc import Callable, Sequence
import dataclasses

import numpy as np

from inception.errors import UserError, lookup
from inception.generative import (
  class_score,
  frechet,
  kernels,
  manifold,
  resampling,
  sliced,
)
from inception.generative.metric_choices import DEFAULT, Choices
from inception.generative.moments import Gaussian
from inception.generative.sample import LOGITS, SPATIAL, Sample


@dataclasses.dataclass(frozen=True)
class Metric:
  """A metric.

  Attributes:
    generated: What it needs of generated images: 'features', 'logits',
      'spatial' or 'main', the last two for statistics.
    real: What it needs of real images; empty if it does not need them.
    compute: Returns values by name, from both sides.
    least: Images that it needs of each side that it reads.
    remedy: What helps if there are fewer; {images} is their number.
    is_default: It is among those computed if none are named.
  """

  generated: str
  real: str
  compute: Callable[[Sample, Sample, Choices], dict[str, float]]
  least: Callable[[Choices], int] = lambda _: 2
  remedy: str = ''
  is_default: bool = True

  def lack(
    self, generated: Sample, real: Sample | None, choices: Choices
  ) -> str:
    """Returns what is lacking, as the end of a sentence; '' if nothing."""
    return (
      self.lack_of_real(real)
      or self.lack_of_generated(generated)
      or self.too_few([images_of(generated), images_of(real)], choices)
    )

  def lack_of_generated(self, generated: Sample) -> str:
    """Returns what the generated side lacks, but for images."""
    return _lack(self.generated, generated, 'generated')

  def lack_of_real(self, real: Sample | None) -> str:
    """Returns what the real side lacks, but for the number of its images."""
    if not self.real:
      return ''
    if real is None:
      return 'there are no real images'
    return _lack(self.real, real, 'real')

  def too_few(self, images: Sequence[int | None], choices: Choices) -> str:
    """Returns what sides with these numbers of images lack.

    Args:
      images: Of the generated and of the real side; None if unknown.
      choices: How metrics are computed.
    """
    read = images if self.real == 'features' else images[:1]
    fewest = min((count for count in read if count is not None), default=None)
    least = self.least(choices)
    if fewest is None or fewest >= least:
      return ''
    return (
      f'it needs {least:,} images per side, not {fewest:,}'
      f'{self.remedy.format(images=fewest)}'
    )


def images_of(side: Sample | None) -> int | None:
  """Returns the number of images whose features are known."""
  for known in (side.features, side.logits) if side is not None else ():
    if known is not None:
      return len(known)
  return None


def _lack(need: str, side: Sample, name: str) -> str:
  match need:
    case 'features' if side.features is None:
      return f'the {name} side is statistics, without features'
    case 'logits' if side.logits is None:
      return f'the {name} side has no logits'
    case 'spatial' if side.spatial is None:
      return f'the {name} side has no statistics for sFID, mu_s and sigma_s'
  return ''


def _fid(generated: Sample, real: Sample, choices: Choices) -> dict[str, float]:
  distance = frechet.frechet_distance(generated.gaussian, real.gaussian)
  found = {'fid': distance}
  # With fewer images than features, the bias does not fall as 1/n.
  if generated.halves and _exceed_features(generated.halves):
    counts = generated.count, real.count
    found['fid_bias'] = frechet.bias(generated.halves, counts)
  if choices.bootstrap:
    if generated.own_features is None:
      raise UserError(
        'bootstrap needs the features of all generated images; save them with'
        ' --save_features'
      )
    theirs = real.own_features
    found['fid_error'] = frechet.standard_error(
      generated.own_features,
      real.gaussian if theirs is None else theirs,
      choices.bootstrap,
    )
  return found


def _exceed_features(halves: Sequence[Gaussian]) -> bool:
  return all((half.count or 0) > half.mean.size for half in halves)


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
    'kid_of_all': float(kernels.kernel_distance_of_all(*pair)),
  }
  if choices.bootstrap:
    found['kid_error'] = resampling.standard_error(
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
  'is': Metric(
    LOGITS,
    '',
    _is,
    lambda choices: class_score.SPLITS if choices.is_order == 'shuffled' else 2,
  ),
  'kid': Metric(
    'features',
    'features',
    _kid,
    lambda choices: choices.subset_size,
    '; the largest kid_subset_size is {images}',
  ),
  'precision_recall': Metric(
    'features',
    'features',
    _precision_recall,
    lambda _: manifold.PRECISION_NEIGHBORS + 1,
  ),
  'density_coverage': Metric(
    'features',
    'features',
    _density_coverage,
    lambda _: manifold.DENSITY_NEIGHBORS + 1,
    is_default=False,
  ),
  'fid_infinity': Metric(
    'features',
    'main',
    _fid_infinity,
    lambda choices: choices.smallest + 1,
    is_default=False,
  ),
  'mind': Metric('features', 'features', _mind, is_default=False),
}


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
  for name in names:
    metric = lookup(METRICS, name, 'metrics')
    if lack := metric.lack(generated, real, choices):
      raise UserError(f'{name} cannot be computed: {lack}')
    values |= metric.compute(generated, real or generated, choices)
  return values

"""Which metrics to compute, and what to keep of images for them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from inception.errors import UserError, count, lookup
from inception.generative.extractor import Extractor
from inception.generative.measures import METRICS, Metric, images_of
from inception.generative.metric_choices import Choices
from inception.generative.sample import LOGITS, Sample
from inception.processes import distributed


def possible(
  generated: Sample, real: Sample | None, choices: Choices
) -> tuple[list[str], dict[str, str]]:
  """Returns the default metrics that two sides allow, and why not the others.

  Returns:
    Names of metrics, and reasons by the names of the others.
  """
  lacks = {
    name: metric.lack(generated, real, choices)
    for name, metric in wanted(None).items()
  }
  names = [name for name, lack in lacks.items() if not lack]
  return names, {name: lack for name, lack in lacks.items() if lack}


def listed(names: Iterable[str] | None) -> tuple[str, ...] | None:
  """Returns names of metrics as a tuple.

  Raises:
    UserError: They are not names, or one is unknown.
  """
  if names is None:
    return None
  if isinstance(names, str) or not isinstance(names, Iterable):
    raise UserError(
      f'metrics={names!r} must be a list of names, such as fid and kid'
    )
  found = tuple(names)
  if not found:
    raise UserError('metrics is empty; name some, such as fid and kid')
  for name in found:
    lookup(METRICS, name, 'metrics')
  return found


def wanted(names: Sequence[str] | None) -> dict[str, Metric]:
  """Returns the metrics of some names; None: the default ones."""
  if names is not None:
    return {name: METRICS[name] for name in names}
  return {name: metric for name, metric in METRICS.items() if metric.is_default}


def check(
  names: Sequence[str] | None,
  real: Sample | None,
  choices: Choices,
  images: int | None,
) -> None:
  """Checks that the real side allows the metrics that were asked for.

  Args:
    names: Of metrics that were asked for; None: any.
    real: The real side.
    choices: How metrics are computed.
    images: Number of generated images; None if unknown.

  Raises:
    UserError: It does not.
  """
  for name in names or ():
    metric = METRICS[name]
    lack = metric.lack_of_real(real)
    if lack := lack or metric.too_few([images, images_of(real)], choices):
      raise UserError(f'{name} cannot be computed: {lack}')


def check_counts(
  names: Sequence[str] | None,
  choices: Choices,
  generated: int | None,
  real: int | None = None,
) -> None:
  """Checks the numbers of images before these are read.

  Args:
    names: Of metrics that were asked for; None: any.
    choices: How metrics are computed.
    generated: Number of generated images; None if unknown.
    real: Number of real images from which features come; None if unknown.

  Raises:
    UserError: A metric needs more.
  """
  for name, metric in wanted(names).items() if names is not None else ():
    if lack := metric.too_few([generated, real], choices):
      raise UserError(f'{name} cannot be computed: {lack}')
  if choices.bootstrap and not {'fid', 'kid'} & wanted(names).keys():
    raise UserError(f'bootstrap={choices.bootstrap} needs fid or kid')


def needs(
  names: Sequence[str] | None,
  real: Sample | None,
  of: Extractor,
  choices: Choices,
) -> tuple[str, ...]:
  """Returns what to keep of every generated image: 'features', 'logits'.

  Args:
    names: Of metrics; None: the default ones that the real side allows.
    real: The real side.
    of: Extractor of the generated side.
    choices: How metrics are computed.

  Raises:
    UserError: The extractor does not give what a named metric needs.
  """
  metrics = wanted(names)
  if names is None:
    metrics = {
      name: metric
      for name, metric in metrics.items()
      if not metric.lack_of_real(real)
    }
  kept = ['features'] if choices.bootstrap else []
  for name, metric in metrics.items():
    need = metric.generated
    if need in ('main', 'features') or need in of.others:
      kept.append(need)
    elif names is not None:
      raise UserError(f'{name} cannot be computed: {of.name} has no {need}')
  return tuple(need for need in ('features', LOGITS) if need in kept)


def needs_of_real(
  names: Sequence[str] | None, choices: Choices
) -> tuple[str, ...]:
  """Returns what to keep of every real image: 'features', or nothing."""
  metrics = wanted(names).values()
  is_kept = any(metric.real == 'features' for metric in metrics)
  return ('features',) if is_kept or choices.bootstrap else ()


def check_alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
  """Compares how two sides were made; returns what one does not state.

  Args:
    one: Facts of a side.
    other: Facts of the other.

  Raises:
    UserError: They state different modes, features or weights.
  """
  names = {
    'feature': 'features',
    'mode': 'mode',
    'variables_sha256': 'weights',
  }
  for name, word in names.items():
    pair = one.get(name), other.get(name)
    if None not in pair and pair[0] != pair[1]:
      raise UserError(
        f'the {word} of the two sides differ: {pair[0]} and {pair[1]}'
      )
  # Features of one's own have neither a mode nor weights, on both sides.
  have_names = 'feature' in one and 'feature' in other
  return [
    word
    for name, word in names.items()
    if (one.get(name) is None) != (other.get(name) is None)
    or (one.get(name) is None and not have_names)
  ]


def warn_of_differences(
  one: Mapping[str, Any], other: Mapping[str, Any]
) -> None:
  """Warns of what makes sides that may be compared unlike each other.

  Args:
    one: Facts of a side.
    other: Facts of the other.
  """
  precisions = {facts.get('precision') or 'float32' for facts in (one, other)}
  if precisions != {'float32'}:
    distributed.warn(
      f'features are in {" and ".join(sorted(precisions))}: not comparable with'
      ' published values'
    )
  crops = one.get('crop'), other.get('crop')
  is_alike = crops[0] == crops[1] or one.get('image_size') == f'{crops[1]}'
  if None not in crops and not is_alike:
    words = [f'to {crop} pixels' if crop else 'not at all' for crop in crops]
    distributed.warn(f'one side is cropped {words[0]}, the other {words[1]}')
  if {one.get('is_jpeg'), other.get('is_jpeg')} == {True, False}:
    distributed.warn(
      'one side is JPEGs and the other is not: FID also measures compression'
    )


def warn_of_few_images(
  names: Iterable[str], generated: Sample, real: Sample | None
) -> None:
  """Warns, if FID is measured, of a side with fewer images than features."""
  if not {'fid', 'sfid', 'fid_infinity'}.intersection(names):
    return
  for side, which in ((generated, 'generated'), (real, 'real')):
    if side is None or side.count is None:
      continue
    size = side.gaussian.mean.size
    if side.count <= size:
      distributed.warn(
        f'{count(side.count, f"{which} image")} for {size:,} features: FID is'
        ' far too large, and depends on the number of images'
      )

"""Which metrics to compute, and what to keep of images for them."""

from collections.abc import Mapping, Sequence
from typing import Any

from inception.errors import UserError, lookup
from inception.generative.extractor import Extractor
from inception.generative.measures import METRICS, Choices, Metric
from inception.generative.sample import LOGITS, Sample


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


def wanted(names: Sequence[str] | None) -> dict[str, Metric]:
  """Returns the metrics of some names; None: the default ones.

  Raises:
    UserError: There is no such metric.
  """
  if names is not None:
    return {name: lookup(METRICS, name, 'metrics') for name in names}
  return {name: metric for name, metric in METRICS.items() if metric.is_default}


def check(
  names: Sequence[str] | None,
  real: Sample | None,
  choices: Choices,
  images: int | None = None,
) -> None:
  """Checks that the sides allow metrics, before generated images are read.

  Args:
    names: Of metrics that were asked for.
    real: The real side.
    choices: How metrics are computed.
    images: Number of generated images, if known.

  Raises:
    UserError: They do not.
  """
  for name, metric in wanted(names or ()).items():
    lack = metric.lack_of_real(real, choices)
    if not lack and images is not None:
      lack = metric.too_few(images, choices)
    if lack:
      raise UserError(f'{name} cannot be computed: {lack}')


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
      if not metric.lack_of_real(real, choices)
    }
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
  for name in ('mode', 'feature', 'variables_sha256'):
    pair = one.get(name), other.get(name)
    if None in pair:
      # Features of one's own have no mode, on both sides.
      unknown += [name] if pair != (None, None) else []
    elif pair[0] != pair[1]:
      raise UserError(
        f'the two sides differ: {name} is {one[name]} for one and'
        f' {other[name]} for the other'
      )
  return unknown

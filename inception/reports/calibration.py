"""Calibration of confidences: expected error and reliability diagram."""

from collections.abc import Sequence
import math

import numpy as np

from inception.reports import page

_SIDE = 240  # Side of the square, pixels.
_MARGIN = 44  # Fits "100%".

Bins = Sequence[Sequence[float]]


def expected_error(bins: Bins) -> float:
  """Returns the expected calibration error, a fraction.

  The mean distance between confidence and accuracy over bins, weighted by their
  examples; NaN without examples. Guo et al., 2017, section 2, equation 3.

  Args:
    bins: For each range of confidence the number of examples, the sum of their
      confidences, and the number of correct ones.
  """
  count, confidence, right = np.array(bins).T
  if not np.sum(count):
    return math.nan
  return float(np.sum(np.abs(right - confidence)) / np.sum(count))


def diagram(bins: Bins) -> str:
  """Returns the reliability diagram with its error, as HTML.

  The height of a bar is the accuracy of predictions with that confidence; on
  the diagonal, both are equal.
  """
  bars = []
  for i, (count, confidence, right) in enumerate(bins):
    if not count:
      continue
    left, width = _x(i / len(bins)), _SIDE / len(bins) - 1
    top = _y(right / count)
    bars.append(
      f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}"'
      f' height="{_y(0) - top:.1f}" fill="var(--mark)"><title>{count:,.0f}'
      f' examples, confidence {confidence / count:.1%}, accuracy'
      f' {right / count:.1%}</title></rect>'
      f'<text font-size="9" transform="translate({left + width / 2 + 3:.1f}'
      f' {top - 3:.1f}) rotate(-90)">{count:,.0f}</text>'
    )
  ticks = ''.join(
    f'<text x="{_x(share):.0f}" y="{_y(0) + 16:.0f}" text-anchor="middle">'
    f'{share:.0%}</text><text x="{_x(0) - 5:.0f}" y="{_y(share) + 4:.0f}"'
    f' text-anchor="end">{share:.0%}</text>'
    for share in (0.0, 0.5, 1.0)
  )
  error = page.number(expected_error(bins), '.2%')
  size = _SIDE + 2 * _MARGIN
  return (
    f'<p>Expected calibration error {error}. Bars: accuracy by confidence,'
    ' with the number of predictions; bars that end on the diagonal are well'
    ' calibrated.</p>'
    f'<svg width="{size}" height="{size}" font-size="12" fill="currentColor"'
    f' role="img" aria-label="reliability diagram">{"".join(bars)}'
    f'<path d="M{_x(0)} {_y(0)}H{_x(1)}M{_x(0)} {_y(0)}V{_y(1)}"'
    ' stroke="var(--line)" fill="none"/>'
    f'<path d="M{_x(0)} {_y(0)}L{_x(1)} {_y(1)}" stroke="currentColor"'
    f' stroke-dasharray="4 3"/>{ticks}</svg>'
  )


def _x(share: float) -> float:
  return _MARGIN + _SIDE * share


def _y(share: float) -> float:
  return _MARGIN + _SIDE * (1 - share)

"""Chooses the largest magnitude that int8 represents, from a histogram.

Larger ones are clipped, but a smaller range rounds the others more finely.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from inception.modules.rounding import LARGEST, scale_of
from inception.quantization import histogram

# Fraction of values that 'percentile' does not clip.
_PERCENTILE = 0.9999


def largest(observed: Any) -> float:
  """Returns the largest magnitude: nothing is clipped."""
  return float(observed['largest'])


def percentile(observed: Any) -> float:
  """Returns the magnitude that 0.01 % of the nonzero values exceed."""
  counts = np.cumsum(np.asarray(observed['counts'], np.float64))
  first = np.searchsorted(counts, _PERCENTILE * counts[-1])
  return min(float(histogram.CENTERS[first]), largest(observed))


def least_squares(observed: Any) -> float:
  """Returns the magnitude with the lowest mean squared error."""
  counts = np.asarray(observed['counts'], np.float64)
  centers = histogram.CENTERS
  candidates = np.append(centers[counts > 0], largest(observed))
  errors = []
  for candidate in candidates:
    step = candidate / LARGEST
    rounding = np.where(centers < step / 2, centers**2, step**2 / 12)
    clipping = np.maximum(centers - candidate, 0) ** 2
    error = np.where(centers > candidate, clipping, rounding)
    errors.append(np.sum(counts * error))
  return min(float(candidates[np.argmin(errors)]), largest(observed))


# How the largest magnitude is chosen.
CALIBRATIONS: dict[str, Callable[[Any], float]] = {
  'max': largest,
  'percentile': percentile,
  'mse': least_squares,
}


def scale(observed: Any, calibration: str) -> np.float32:
  """Returns the scale of a tensor from its histogram."""
  return np.float32(scale_of(CALIBRATIONS[calibration](observed)))

"""Random subsets and resamples of images, as torch-fidelity draws them."""

from collections.abc import Callable
from typing import Any

import numpy as np

from inception.generative import progress_lines

SEED = 2020  # torch-fidelity's default.


def choose(
  state: np.random.RandomState, features: np.ndarray, count: int
) -> np.ndarray:
  """Returns the features of `count` different images, chosen at random."""
  return features[state.choice(len(features), count, replace=False)]


def standard_error(
  measure: Callable[..., float], *sides: Any, resamples: int
) -> float:
  """Returns the standard error of a measure, by resampling images.

  Args:
    measure: Function of the sides' features.
    *sides: Features [images, size] of each side.
    resamples: Number of times to draw as many images with replacement, at
      least 2.
  """
  state = np.random.RandomState(SEED)
  values = [
    measure(*(x[state.randint(len(x), size=len(x))] for x in sides))
    for _ in progress_lines.shown(range(resamples), 'bootstrap', resamples)
  ]
  return float(np.std(values, ddof=1))

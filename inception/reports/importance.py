"""Permutation importance of config fields for a result."""

from collections.abc import Mapping, Sequence
import json
from typing import Any

import numpy as np

_TREES = 100
_FEWEST_RUNS = 4


def importance(
  results: Sequence[Mapping[str, Any]], fields: Sequence[str], metric: str
) -> dict[str, float]:
  """Returns the importance of each field for the metric, as shares.

  A random forest predicts the metric from the fields. The importance of a field
  is how much worse the prediction gets when its values are shuffled (Breiman,
  2001, "Random forests", section 10). The shares sum to 1 and describe only
  these runs.

  Returns:
    Shares by field, the largest first; empty for fewer than four results, or if
    nothing differs.
  """
  known = [result for result in results if result.get(metric) is not None]
  target = np.array([result[metric] for result in known], np.float64)
  if len(known) < _FEWEST_RUNS or not fields or np.ptp(target) == 0:
    return {}
  # Slow to import.
  from sklearn.ensemble import RandomForestRegressor
  from sklearn.inspection import permutation_importance

  inputs = np.stack([_codes(known, field) for field in fields], axis=1)
  forest = RandomForestRegressor(_TREES, random_state=0).fit(inputs, target)
  found = permutation_importance(
    forest, inputs, target, n_repeats=10, random_state=0
  )
  shares = np.maximum(found.importances_mean, 0)
  if not shares.sum():
    return {}
  shares = shares / shares.sum()
  order = np.argsort(-shares)
  return {fields[i]: float(shares[i]) for i in order}


def _codes(results: Sequence[Mapping[str, Any]], field: str) -> np.ndarray:
  """Returns a field as numbers: its values, or codes in order of their text."""
  values = [result.get(field) for result in results]
  if all(isinstance(value, int | float) for value in values):
    return np.array(values, np.float64)
  texts = [json.dumps(value) for value in values]
  order = {text: i for i, text in enumerate(sorted(set(texts)))}
  return np.array([order[text] for text in texts], np.float64)

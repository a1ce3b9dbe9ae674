"""From images to logits, features, names and explanations.

Names are imported when first used, so that `--help` waits for no JAX.
"""

import importlib
from typing import Any

_EXPORTS = {
  'Predictor': 'inception.predict.predictor',
  'Pretrained': 'inception.predict.load',
  'load_pretrained': 'inception.predict.load',
  'make_predictor': 'inception.predict.predictor',
}


def __getattr__(name: str) -> Any:
  if name not in _EXPORTS:
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
  return getattr(importlib.import_module(_EXPORTS[name]), name)

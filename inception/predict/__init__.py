"""Inference on images: logits, features, class names and explanations.

Names are imported on first use, so that `--help` does not load JAX.
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

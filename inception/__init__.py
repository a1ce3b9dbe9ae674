"""Inception networks in JAX: tables, modules, training and evaluation.

Names are imported when first used, so code that needs no JAX does not load it.
"""

import importlib
from typing import Any

_EXPORTS = {
  'Architecture': 'inception.spec.vocabulary',
  'create_model': 'inception.modules.create',
  'get_architecture': 'inception.architectures',
  'load_pretrained': 'inception.predict.load',
}

__all__ = [
  'Architecture',
  'create_model',
  'get_architecture',
  'load_pretrained',
]


def __getattr__(name: str) -> Any:
  if name not in _EXPORTS:
    raise AttributeError(f"module 'inception' has no attribute {name!r}")
  return getattr(importlib.import_module(_EXPORTS[name]), name)

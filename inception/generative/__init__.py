"""Distances between generated and real images: FID and its relatives.

Names are imported on first use, so that `--help` does not load JAX.
"""

import importlib
from typing import Any

_EXPORTS = {
  'Choices': 'metric_choices',
  'Evaluator': 'evaluator',
  'Extractor': 'extractor',
  'Gaussian': 'moments',
  'METRICS': 'measures',
  'MODES': 'modes',
  'Moments': 'moments',
  'Sample': 'sample',
  'across': 'moments',
  'add': 'moments',
  'cmmd': 'kernels',
  'combine': 'moments',
  'compute': 'measures',
  'custom': 'extractor',
  'density_coverage': 'manifold',
  'empty': 'moments',
  'features': 'extractor',
  'frechet_distance': 'frechet',
  'frechet_infinity': 'frechet',
  'inception_score': 'class_score',
  'kernel_distance': 'kernels',
  'kernel_distance_of_all': 'kernels',
  'load': 'extractor',
  'merge': 'moments',
  'merge_samples': 'sample',
  'monge_distance': 'sliced',
  'of_features': 'frechet',
  'open_images': 'image_sets',
  'precision_recall': 'manifold',
  'prepare': 'modes',
  'read': 'reference',
  'read_statistics': 'statistics_files',
  'to_gaussian': 'moments',
  'write_statistics': 'statistics_files',
}


__all__ = list(_EXPORTS)


def __dir__() -> list[str]:
  return sorted([*globals(), *_EXPORTS])


def __getattr__(name: str) -> Any:
  if name not in _EXPORTS:
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
  module = importlib.import_module(f'{__name__}.{_EXPORTS[name]}')
  return getattr(module, name)

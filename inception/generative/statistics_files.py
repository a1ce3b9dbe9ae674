"""Files of statistics: ours, and those that other evaluators wrote.

The keys of a file say what it holds:

    mu, sigma                 TTUR, pytorch-fid, clean-fid, EDM, MAR; ours
    mu_s, sigma_s             beside these: ADM's statistics for sFID; ours
    arr_0                     beside these: ADM's images
    ref_mu, ref_sigma         MeanFlow, iMF, Drifting
    pool_3, logits            features, score_sde
    feats                     features, clean-fid's for KID
    reps                      features, dgm-eval
    .pkl with fid: mu, sigma  EDM2

Nothing in a file is executed.
"""

from collections.abc import Mapping
import io
from typing import Any

import numpy as np

from inception import paths
from inception.errors import UserError, reason
from inception.generative import array_files, frechet
from inception.generative.moments import Gaussian
from inception.generative.sample import Sample
from inception.pretrained.formats import array_pickle

_MEANS = ('mu', 'sigma'), ('ref_mu', 'ref_sigma')
_FEATURES = ('pool_3', 'feats', 'reps')

# Facts that our files state.
_FACTS = (
  'mode',
  'feature',
  'variables_sha256',
  'weights_sha256',
  'crop',
  'precision',
  'is_jpeg',
  'image_size',
)

# Largest entry of |S - S^T| over the largest of |S|.
_SYMMETRY = 1e-3


def is_statistics(path: paths.Path) -> bool:
  """True if a file holds statistics or features, by its keys."""
  if path.suffix.lower() == '.pkl':
    return True
  known = {key for pair in _MEANS for key in pair} | set(_FEATURES)
  return bool(known.intersection(keys_of(path)))


def keys_of(path: paths.Path) -> list[str]:
  """Returns the names of the arrays in an .npz file, none in other files."""
  return array_files.keys(path) if path.suffix.lower() == '.npz' else []


def read_statistics(path: paths.PathLike) -> Sample:
  """Reads statistics or features.

  Args:
    path: An .npz or .pkl file.

  Raises:
    UserError: The file cannot be read, or holds no valid statistics.
  """
  path = paths.resolve(path)
  if path.suffix.lower() not in ('.npz', '.pkl'):
    raise UserError(f'{path} is not a file of statistics, .npz or .pkl')
  try:
    return _read(path)
  # The libraries raise many kinds of errors for a malformed file.
  except Exception as error:
    raise UserError(f'cannot read {path}: {reason(error)}') from error


def _read(path: paths.Path) -> Sample:
  arrays = _read_pkl(path) if path.suffix.lower() == '.pkl' else _read_npz(path)
  for mean, covariance in _MEANS:
    if mean in arrays and covariance in arrays:
      return _of_statistics(arrays, mean, covariance)
  for key in _FEATURES:
    if key in arrays:
      return _of_features(arrays, key)
  raise UserError(
    f'it holds {", ".join(arrays) or "nothing"}; statistics are mu and sigma'
  )


def write_statistics(
  path: paths.PathLike, sample: Sample, single: bool = False
) -> None:
  """Writes statistics, and features if they were kept, as .npz.

  Args:
    path: The file; replaced if it exists.
    sample: The statistics.
    single: Write means in float32, as ADM's are.

  Raises:
    UserError: The file cannot be written.
  """
  path = paths.resolve(path)
  if path.suffix != '.npz':
    raise UserError(f'{path} must end in .npz')
  if not isinstance(sample, Sample):
    raise UserError(
      f'a {type(sample).__name__} cannot be written; give a Sample'
    )
  dtype = np.float32 if single else np.float64
  arrays: dict[str, Any] = {
    'mu': sample.gaussian.mean.astype(dtype),
    'sigma': sample.gaussian.covariance,
  }
  if sample.spatial is not None:
    arrays['mu_s'] = sample.spatial.mean.astype(dtype)
    arrays['sigma_s'] = sample.spatial.covariance
  if sample.features is not None:
    arrays['pool_3'] = sample.features
  if sample.logits is not None:
    arrays['logits'] = sample.logits
  facts = {**sample.facts, 'count': sample.count}
  for name in (*_FACTS, 'count'):
    if facts.get(name) is not None:
      arrays[name] = np.array(facts[name])
  with paths.replace(path) as file:
    np.savez(file, **arrays)


def _of_statistics(
  arrays: Mapping[str, np.ndarray], mean: str, covariance: str
) -> Sample:
  facts = {name: arrays[name].item() for name in _FACTS if name in arrays}
  count = int(arrays['count'].item()) if 'count' in arrays else None
  spatial = None
  if 'mu_s' in arrays and 'sigma_s' in arrays:
    spatial = _gaussian(arrays, 'mu_s', 'sigma_s', count)
  features, logits = (
    _matrix(arrays, name) if name in arrays else None
    for name in ('pool_3', 'logits')
  )
  gaussian = _gaussian(arrays, mean, covariance, count)
  _check_rows(features, logits, count)
  return Sample(gaussian, spatial, None, features, logits, facts)


def _of_features(arrays: Mapping[str, np.ndarray], key: str) -> Sample:
  features = _matrix(arrays, key)
  logits = _matrix(arrays, 'logits') if 'logits' in arrays else None
  _check_rows(features, logits, None)
  return Sample(frechet.of_features(features), features=features, logits=logits)


def _check_rows(
  features: np.ndarray | None, logits: np.ndarray | None, count: int | None
) -> None:
  """Checks that all are of the same number of images."""
  counts = {len(x) for x in (features, logits) if x is not None}
  if count is not None and counts:
    counts.add(count)
  if len(counts) > 1:
    raise UserError(
      'count, features and logits are of different numbers of images:'
      f' {", ".join(map(str, sorted(counts)))}'
    )


def _matrix(arrays: Mapping[str, np.ndarray], key: str) -> np.ndarray:
  """Returns features or logits, float32 [images, size]."""
  features = np.asarray(arrays[key], np.float32)
  if features.ndim != 2 or not np.isfinite(features).all():
    raise UserError(
      f'{key} is {features.shape}, or not finite; it must be [images, size]'
    )
  return features


def _gaussian(
  arrays: Mapping[str, np.ndarray],
  mean: str,
  covariance: str,
  count: int | None,
) -> Gaussian:
  if any(np.iscomplexobj(arrays[key]) for key in (mean, covariance)):
    raise UserError(f'{mean} or {covariance} is complex')
  mu, sigma = (
    np.asarray(arrays[key], np.float64) for key in (mean, covariance)
  )
  if mu.ndim != 1 or not mu.size or sigma.shape != (len(mu), len(mu)):
    raise UserError(
      f'{mean} is {mu.shape} and {covariance} is {sigma.shape}; they must be'
      ' [size] and [size, size]'
    )
  if not (np.isfinite(mu).all() and np.isfinite(sigma).all()):
    raise UserError(f'{mean} or {covariance} holds NaN or infinity')
  largest = np.abs(sigma).max()
  if np.abs(sigma - sigma.T).max() > _SYMMETRY * largest:
    raise UserError(f'{covariance} is not symmetric')
  if np.diagonal(sigma).min() < 0:
    raise UserError(f'{covariance} has negative variances on its diagonal')
  return Gaussian(mu, (sigma + sigma.T) / 2, count)


def _read_npz(path: paths.Path) -> dict[str, np.ndarray]:
  """Reads all arrays but images."""
  with np.load(path, allow_pickle=False) as file:
    return {key: file[key] for key in file.files if key != 'arr_0'}


def _read_pkl(path: paths.Path) -> dict[str, np.ndarray]:
  """Reads EDM2's file: {'fid': {'mu': ..., 'sigma': ...}, 'num_images': n}."""
  tree = array_pickle.read_arrays(io.BytesIO(paths.read_bytes(path)))
  arrays = tree.get('fid', tree)
  if not isinstance(arrays, dict):
    raise UserError('fid is not a dict of mu and sigma')
  if isinstance(tree.get('num_images'), int):
    arrays['count'] = np.array(tree['num_images'])
  return {n: x for n, x in arrays.items() if isinstance(x, np.ndarray)}

"""The JSON beside the arrays of a checkpoint: config, step, scores, digests.

Everything that can change a number is covered by a digest: the arrays by
`arrays`, which is part of the header; the header by its own; the scores of an
evaluation by theirs, which includes `arrays`, so that they belong to this
checkpoint and no other.
"""

from collections.abc import Mapping
import hashlib
import json
from typing import Any

from inception import paths

Fields = dict[str, Any]

_HEADER = 'config/metadata'  # Orbax's name of a JSON item.
_SCORES = 'scores.json'
_SCORES_0_2 = 'metrics/metrics'


def seal(fields: Mapping[str, Any]) -> Fields:
  """Returns fields with their digest."""
  return {**fields, 'digest': _digest(fields)}


def read_header(checkpoint: paths.Path) -> Fields:
  """Reads the header of a checkpoint.

  Args:
    checkpoint: Folder of the checkpoint.

  Returns:
    `config`, as nested dicts; `arrays`, the digest of the arrays; `step`;
    `interval`, the metrics since the last logged step; `data`, what the run was
    trained on. Older versions lack some of the last three.

  Raises:
    ValueError: The header is damaged.
    OSError: It cannot be read.
  """
  header = _read_json(checkpoint / _HEADER)
  if 'arrays' not in header:  # Version 0.2: `digest` is that of the arrays.
    return {'config': header['config'], 'arrays': header['digest']}
  return _unseal(header, 'the header')


def write_scores(
  checkpoint: paths.Path, arrays: str, scores: Mapping[str, float]
) -> None:
  """Adds the results of an evaluation to a checkpoint.

  Args:
    checkpoint: Folder of the checkpoint.
    arrays: Digest of its arrays.
    scores: Results, with `top1`.

  Raises:
    UserError: The file cannot be written.
  """
  sealed = seal({'scores': dict(scores), 'arrays': arrays})
  paths.write_atomically(checkpoint / _SCORES, json.dumps(sealed))


def read_scores(checkpoint: paths.Path) -> dict[str, float] | None:
  """Returns the results of the evaluation of a checkpoint, or None.

  Raises:
    ValueError: They are damaged, or those of another checkpoint.
    OSError: They cannot be read.
  """
  if (checkpoint / _SCORES).exists():
    sealed = _unseal(_read_json(checkpoint / _SCORES), 'the scores')
    if sealed['arrays'] != read_header(checkpoint)['arrays']:
      raise ValueError('the scores are those of another checkpoint')
    return sealed['scores']
  if (checkpoint / _SCORES_0_2).exists():
    scores = _read_json(checkpoint / _SCORES_0_2)
    return {name: float(value) for name, value in scores.items()}
  return None


def _digest(fields: Mapping[str, Any]) -> str:
  text = json.dumps(fields, sort_keys=True)
  return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _unseal(sealed: Fields, name: str) -> Fields:
  fields = {k: v for k, v in sealed.items() if k != 'digest'}
  if sealed.get('digest') != _digest(fields):
    raise ValueError(f'{name} differs from what was written')
  return fields


def _read_json(path: paths.Path) -> Fields:
  """Reads a JSON object; its errors name the file."""
  name = f'{path.parent.name}/{path.name}'
  try:
    tree = json.loads(path.read_bytes())
  except ValueError as error:
    raise ValueError(f'{name} is not JSON: {error}') from error
  if not isinstance(tree, dict):
    raise ValueError(f'{name} is not a JSON object')
  return tree

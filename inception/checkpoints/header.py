"""The JSON stored with a checkpoint's arrays: config, step, scores, digests.

Digests cover everything that can change a result: the arrays (`arrays`, which
is part of the header), the header, and the scores of an evaluation. The scores
are stored with `arrays`, which ties them to this checkpoint.
"""

from collections.abc import Mapping
import math
from typing import Any

from inception import paths
from inception.files import json_text

Fields = dict[str, Any]

_HEADER = 'config/metadata'  # Orbax's name of a JSON item.
_SCORES = 'scores.json'
_SCORES_0_2 = 'metrics/metrics'


def read_header(checkpoint: paths.Path) -> Fields:
  """Reads the header of a checkpoint.

  Args:
    checkpoint: Folder of the checkpoint.

  Returns:
    `config`, as nested dicts; `arrays`, the digest of the arrays; `step`;
    `interval`, the metrics since the last logged step; `data`, what the run was
    trained on; `evaluated`, the steps of checkpoints with scores; `patience`,
    see `Patience.state`. Older versions lack some of the last five.

  Raises:
    ValueError: The header is damaged.
    OSError: It cannot be read.
  """
  header = _read_json(checkpoint / _HEADER)
  if 'arrays' not in header:  # Version 0.2: `digest` is that of the arrays.
    return {'config': header['config'], 'arrays': header['digest']}
  return json_text.unseal(header, 'the header')


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
  sealed = json_text.seal({'scores': dict(scores), 'arrays': arrays})
  paths.write_atomically(checkpoint / _SCORES, json_text.dump(sealed))


def read_scores(checkpoint: paths.Path) -> dict[str, float] | None:
  """Returns the results of the evaluation of a checkpoint, or None.

  Raises:
    ValueError: They are damaged, or those of another checkpoint.
    OSError: They cannot be read.
  """
  if (checkpoint / _SCORES).exists():
    sealed = json_text.unseal(_read_json(checkpoint / _SCORES), 'the scores')
    if sealed.get('arrays') != read_header(checkpoint)['arrays']:
      raise ValueError('the scores are those of another checkpoint')
    return _numbers(sealed.get('scores'))
  if (checkpoint / _SCORES_0_2).exists():
    return _numbers(_read_json(checkpoint / _SCORES_0_2))
  return None


def _numbers(scores: Any) -> dict[str, float]:
  """Checks scores; null stands for a number that is not finite."""
  if not isinstance(scores, dict) or not all(
    value is None or isinstance(value, int | float) for value in scores.values()
  ):
    raise ValueError('the scores are not numbers')
  return {n: math.nan if x is None else x for n, x in scores.items()}


def _read_json(path: paths.Path) -> Fields:
  """Reads a JSON object; its errors name the file."""
  name = f'{path.parent.name}/{path.name}'
  with paths.open_file(path) as file:
    content = file.read()
  try:
    tree = json_text.load(content)
  except ValueError as error:
    raise ValueError(f'{name} is not JSON: {error}') from error
  if not isinstance(tree, dict):
    raise ValueError(f'{name} is not a JSON object')
  return tree

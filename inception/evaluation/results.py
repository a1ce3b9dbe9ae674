"""Results of an evaluation as a file and as text."""

from collections.abc import Mapping
import hashlib
import re
from typing import Any

from inception import paths
from inception.cli import outputs
from inception.files import json_text


def write_results(
  workdir: paths.Path, results: Mapping[str, Any]
) -> paths.Path:
  """Writes results as JSON into the workdir and returns the file's path.

  Raises:
    UserError: The workdir is not writable.
  """
  place = results['data_dir']
  data = results['dataset']
  if place is not None:  # Folders of the same name can hold different data.
    where = paths.resolve(place).absolute()
    data += f'_{where.name}_{_digest(str(where))}'
  split = results['split']
  if not split.isidentifier():  # 'train[:80%]' and 'train[80%:]' differ.
    split += f'_{_digest(split)}'
  name = re.sub(r'\W+', '_', f'{data}_{split}{_protocol(results)}').strip('_')
  path = workdir / f'evaluation_{results["step"]}_{name}.json'
  paths.write_atomically(path, json_text.dump(results, indent=2) + '\n')
  return path


def _protocol(results: Mapping[str, Any]) -> str:
  """Returns the non-default settings of an evaluation, for the file name."""
  parts = []
  if results['precision'] != 'float32':
    parts.append(results['precision'])
  if results['crops'] > 1:
    parts.append(f'{results["crops"]}_crops')
  if 'networks' in results:
    parts.append('ensemble_' + _digest(str(results['networks'])))
  if 'classes' in results:
    parts.append('classes_' + _digest(str(results['classes'])))
  if 'labels' in results:
    parts.append('real')
  return ''.join(f'_{part}' for part in parts)


def _digest(text: str) -> str:
  return hashlib.blake2b(text.encode(), digest_size=3).hexdigest()


def format_results(results: Mapping[str, Any]) -> str:
  """Returns results as text: a heading and one row."""
  row = (
    str(results['step']),
    results['split'],
    str(results['examples']),
    f'{results["loss"]:.4f}',
    f'{results["top1"]:.2%}',
    f'{results["top5"]:.2%}',
  )
  heading = ('step', 'split', 'examples', 'loss', 'top-1', 'top-5')
  return outputs.format_table(heading, [row])

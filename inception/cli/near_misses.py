"""Suggestions for unknown flags, config fields and config files."""

from collections.abc import Iterable, Sequence
import difflib
import glob
import os


def field(word: str) -> str:
  """Returns '; did you mean --config.X?' for the nearest fields, or ''.

  Args:
    word: A field without 'config.', its last part, or an abbreviation: 'lr'.
  """
  last = word.rpartition('.')[2]
  # The last part of each field.
  names = {name: name.rpartition('.')[2] for name in _fields()}
  near = difflib.get_close_matches(last, names.values(), 2, 0.75)
  for found in (
    [name for name, short in names.items() if short == last],
    difflib.get_close_matches(word, names, 2, 0.8),
    [name for name, short in names.items() if short in near],
    [
      name
      for name, short in names.items()
      if len(last) > 1 and last in _initials(short)
    ],
    [name for name, short in names.items() if len(last) > 3 and last in short],
  ):
    if found:
      return _did_you_mean([f'--config.{name}' for name in found[:3]])
  return ''


def _initials(name: str) -> str:
  return ''.join(part[0] for part in name.split('_'))


def unknown_field(argv: Sequence[str]) -> str:
  """Returns the first unknown config field, and a hint."""
  known = _fields()
  for argument in argv:
    name = argument.lstrip('-').partition('=')[0]
    word = name.removeprefix('config.')
    if name.startswith('config.') and word not in known:
      return f'{word}{field(word) or "."}'
  return ''


def config_file(name: str) -> str:
  """Returns '; did you mean configs/X.py?' for a missing file."""
  files = glob.glob('configs/**/*.py', recursive=True)
  stems = {os.path.basename(file).removesuffix('.py'): file for file in files}
  stem = os.path.basename(name).removesuffix('.py')
  near = [stem] if stem in stems else []
  near = near or difflib.get_close_matches(stem, stems, 2, 0.75)
  return _did_you_mean([stems[match] for match in near])


def _fields() -> list[str]:
  """Returns the names of all fields of a config, such as 'model.width'."""
  from inception.config import compare, default  # Only after a mistake.

  return list(compare.flatten(default.get_config()))


def _did_you_mean(names: Iterable[str]) -> str:
  text = ' or '.join(names)
  return f'; did you mean {text}?' if text else ''

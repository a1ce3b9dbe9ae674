"""The output of --help: what a command does, and all its flags."""

from collections.abc import Sequence
import re
import sys
import textwrap

from absl import flags

_WIDTH = 79
_SHARED = 'inception.cli.shared'


def help_text(names: Sequence[str]) -> str:
  """Returns the docstring of the running command, and its flags.

  Args:
    names: Its flags, in order of definition.
  """
  shared = {flag.name for flag in flags.FLAGS.get_flags_for_module(_SHARED)}
  parts = [(sys.modules['__main__'].__doc__ or '').strip()]
  for title, is_shared in (
    ('Flags:', False),
    ('Flags shared with other commands:', True),
  ):
    group = [name for name in names if (name in shared) == is_shared]
    if group:
      parts.append('\n'.join([title, *map(_describe, group)]))
  return '\n\n'.join(parts)


def _describe(name: str) -> str:
  flag = flags.FLAGS[name]
  text = ' '.join((flag.help or '').split())
  # Drops what absl adds: `_value` covers it.
  text = re.sub(r'^<[^>]*>: |;? repeat this option .*$', '', text)
  if name == 'config':
    text += ' --config.FIELD=VALUE sets a field of inception/config/default.py.'
  elif flag.default:
    text += f' (default: {str(flag.default_as_str).strip("'")})'
  body = textwrap.indent(textwrap.fill(text, _WIDTH - 6), 6 * ' ')
  return f'  --{name}{_value(flag)}\n{body}'


def _value(flag: flags.Flag) -> str:
  """Returns the placeholder after the name of a flag, such as '=N'."""
  parser = flag.parser
  if flag.name == 'config':
    return '=FILE.py[:ARGUMENT]'
  if flag.boolean:
    return ''
  if isinstance(parser, flags.EnumParser):
    return f'={"|".join(parser.enum_values)}'
  if isinstance(parser, flags.IntegerParser):
    return '=N'
  if isinstance(parser, flags.FloatParser):
    return '=X'
  return '=A,B' if isinstance(parser, flags.ListParser) else '=TEXT'

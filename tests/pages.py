"""Pages of the documentation: their blocks, and what their commands print.

A block of shell commands that the tests cannot run says why behind its fence,
where pages do not show it: ```sh not-run: needs a GPU.
A block ```text after a block that runs is its output, line by line; `...` is
any number of lines. After ```text varies, other numbers are accepted, as other
processors train to other losses.

UPDATE_PAGES=1 pytest tests/test_docs.py writes new output into the pages.
"""

from collections.abc import Sequence
import dataclasses
import os
import pathlib
import re

_BLOCK = re.compile(
  r'^```(\w+)(?: not-run: [^\n]+|())\n(.*?)^```$'
  r'(?:\n\n```text(| varies)\n(.*?)^```$)?',
  re.MULTILINE | re.DOTALL,
)
# A hash in a file's name, or a number.
_NUMBER = re.compile(r'(?<=_)[0-9a-f]{6}(?=[_.])|\d[\d,.:e+-]*')


@dataclasses.dataclass(frozen=True)
class Block:
  """A block that tests run.

  Attributes:
    language: 'sh', 'python', ...
    code: What it runs.
    output: What it prints, as the page shows it; None if it shows nothing.
    varies: The numbers in its output differ from run to run.
  """

  language: str
  code: str
  output: str | None
  varies: bool


def blocks(page: pathlib.Path, language: str = '') -> list[Block]:
  """Returns the blocks of a page that tests run, in a language or in all."""
  found = [
    Block(match[1], match[3], match[5], match[4] == ' varies')
    for match in _BLOCK.finditer(page.read_text())
    if match[2] is not None
  ]
  return [block for block in found if language in ('', block.language)]


def check_output(
  page: pathlib.Path, block: Block, printed: str, alike: Sequence[str] = ()
) -> None:
  """Asserts that a block printed what its page shows; or updates the page.

  Args:
    page: The page.
    block: One of its blocks.
    printed: What it printed.
    alike: Words of which any may stand for another, such as classes.
  """
  if block.output is None:
    return
  lines = [line.rstrip() for line in printed.splitlines()]
  pattern = _pattern(block)
  if alike:
    pattern = re.sub('|'.join(alike), f'({"|".join(alike)})', pattern)
  if re.fullmatch(pattern, '\n'.join([*lines, ''])):
    return
  if not os.environ.get('UPDATE_PAGES'):
    raise AssertionError(f'{page.name} shows other output than\n{printed}')
  assert '...' not in block.output, 'shorten the new output by hand'
  text = page.read_text()
  between = '```\n\n```text' + ' varies' * block.varies + '\n'
  shown = block.code + between
  assert text.count(shown + block.output) == 1
  new = '\n'.join([*lines, ''])
  page.write_text(text.replace(shown + block.output, shown + new))


def _pattern(block: Block) -> str:
  """Returns the regular expression of a block's output."""
  pattern = ''
  for line in block.output.splitlines():
    if line == '...':
      pattern += r'(?:.*\n)*'
    else:
      pattern += _line_pattern(line, block.varies) + r'\n'
  return pattern


def _line_pattern(line: str, varies: bool) -> str:
  if not varies:
    return re.escape(line)
  # Columns are as wide as their numbers.
  line = re.sub(r'\s+', ' ', line.strip())
  words = map(re.escape, _NUMBER.split(line))
  number = f'(?:{_NUMBER.pattern})'
  return ' *' + number.join(words).replace(r'\ ', ' +')

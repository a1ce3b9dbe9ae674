"""What all HTML pages share: one self-contained file, light and dark themes."""

import html
import math

STYLE = """
:root { color-scheme: light dark; --text: #1c1c1c; --soft: #e8e8e8;
  --line: #999; --faint: #eee; --back: #fff; --mark: #2b6ca3; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e4e4; --soft: #333;
  --line: #777; --faint: #2c2c2c; --back: #161616; --mark: #6aa9dd;
  --bad: #f28b82; } }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto;
  max-width: 75rem; padding: 0 1rem; color: var(--text);
  background: var(--back); }
table { border-collapse: collapse; margin: 0.5rem 0 1.5rem; }
td, th { padding: 0.2rem 0.6rem; text-align: right; font-weight: normal; }
th:first-child, td:first-child { text-align: left; }
thead th { border-bottom: 1px solid var(--line); vertical-align: bottom; }
"""


def render(title: str, parts: list[str], style: str = '') -> str:
  """Returns an HTML page that does not link to other files.

  Args:
    title: Title, as plain text.
    parts: HTML of the body.
    style: CSS to append to `STYLE`.
  """
  return (
    '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    f'<title>{text(title)}</title><style>{STYLE}{style}</style></head><body>'
    f'<h1>{text(title)}</h1>' + '\n'.join(parts) + '</body></html>\n'
  )


def number(value: float | None, form: str) -> str:
  """Returns a number as text, such as '12.3%' for 0.123 and '.1%'.

  Non-finite numbers, which are null (None) in JSON files, give 'not finite'.
  """
  if value is None or not math.isfinite(value):
    return 'not finite'
  return format(value, form)


def text(content: object) -> str:
  """Escapes text for HTML."""
  return html.escape(str(content))

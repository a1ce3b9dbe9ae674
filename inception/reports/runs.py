"""An HTML page about many runs: sortable table, curves, importance, failures.

Run:  python -m inception.reports.runs --workdirs=runs/a,runs/b --output=F.html
"""

import collections
from collections.abc import Mapping, Sequence
import glob
import math
import os
from typing import Any

from absl import flags

from inception import paths
from inception.cli import commands, outputs, shared
from inception.errors import UserError, count
from inception.files import json_text
from inception.observing import metrics
from inception.reports import charts, page
from inception.reports.importance import importance
from inception.reports.run_results import differing, means, read_result

_MOST_CURVES = 30
_MOST_OPEN = 3  # With more failures, their logs start collapsed.
_COLUMNS = (
  'step',
  'top1',
  'best_top1',
  'top5',
  'loss',
  'param_count',
  'gmacs',
  'images_per_second',
  'hours',
  'status',
)
_STYLE = (
  charts.STYLE
  + """
.scroll { overflow: auto; max-height: 34rem; }
.runs thead th { position: sticky; top: 0; background: var(--back); }
.runs th { cursor: pointer; white-space: nowrap; user-select: none; }
.runs th:hover { text-decoration: underline; }
.runs td { white-space: nowrap; }
.runs tbody tr:hover { background: var(--soft); }
.failed { color: var(--bad); }
pre { overflow-x: auto; background: var(--soft); padding: 0.6rem; }
"""
)

_EXPLAINED = (
  '<p>Permutation importance: how much worse a random forest predicts top-1'
  ' when the values of a field are shuffled.</p>'
)

# Sorts a table by the clicked heading; a second click reverses the order.
_SORT = """<script>
for (const table of document.querySelectorAll('table.runs'))
  table.tHead.addEventListener('click', event => {
    const cell = event.target.closest('th'), body = table.tBodies[0];
    const up = cell.ariaSort !== 'ascending', key = row => {
      const value = row.cells[cell.cellIndex].dataset.value;
      return value === '' ? null : isNaN(value) ? value : Number(value); };
    const compare = (a, b) => a === null || b === null
      ? (a === null) - (b === null)
      : (a < b ? -1 : a > b ? 1 : 0) * (up ? 1 : -1);
    body.append(...[...body.rows].sort((a, b) => compare(key(a), key(b))));
    for (const other of table.tHead.rows[0].cells) other.ariaSort = 'none';
    cell.ariaSort = up ? 'ascending' : 'descending';
  });
</script>"""


def define_flags() -> None:
  """Defines the flags of this command."""
  flags.DEFINE_list('workdirs', None, 'Workdirs of runs, or glob patterns.')
  flags.DEFINE_string('output', 'report.html', 'HTML file to write.')
  flags.DEFINE_bool('json', False, 'Print one JSON object as the last line.')


def main() -> None:
  """Reads the flags and writes the page."""
  shared.require('workdirs', 'runs/*')
  folders = _find(flags.FLAGS.workdirs)
  output = outputs.resolve(flags.FLAGS.output, '--output')
  results, configs = [], []
  for folder in folders:
    result, config = read_result(folder)
    results.append({'name': folder.name, **result})
    configs.append(config)
  fields = _fields(configs)
  for result, config in zip(results, configs):
    result.update({field: config.get(field) for field in fields})
  paths.write_atomically(output, render('Runs', results, fields))
  print(f'page: {output}')
  if flags.FLAGS.json:
    print(json_text.dump({'output': str(output), 'runs': len(results)}))


def _find(patterns: Sequence[str]) -> list[paths.Path]:
  found = [
    name
    for pattern in patterns
    for name in ([pattern] if os.path.lexists(pattern) else glob.glob(pattern))
  ]
  folders = [paths.resolve(name) for name in dict.fromkeys(sorted(found))]
  folders = [path for path in folders if paths.exists(path / 'config.json')]
  if not folders:
    raise UserError(
      f'no workdir of a run matches --workdirs={",".join(patterns)}'
    )
  return folders


def _fields(configs: Sequence[Mapping[str, Any]]) -> list[str]:
  """Returns the fields that differ between the runs that have begun."""
  begun = [config for config in configs if config]
  return sorted(set(differing(begun)) - {'data.class_names'})


def render(
  title: str, results: Sequence[Mapping[str, Any]], fields: Sequence[str]
) -> str:
  """Returns the page as HTML.

  Args:
    title: Its title.
    results: Rows of `read_result` with `name` and the fields; for a sweep also
      `status`, and for a failed run `log`, the last lines of its log.
    fields: Config fields that differ.

  Raises:
    UserError: Plotly is not installed.
  """
  ordered = sorted(results, key=lambda result: -(result.get('top1') or -1))
  parts = [charts.library(), _summary(ordered), _failures(ordered)]
  by_seed = means(ordered, fields)
  if any(row['count'] > 1 for row in by_seed):
    parts += ['<h2>Means over seeds</h2>', _table(by_seed, list(by_seed[0]))]
  parts += ['<h2>Runs</h2>', _table(ordered, ['name', *fields, *_COLUMNS])]
  parts += [_curves(ordered), '<h2>Accuracy and speed</h2>']
  color = fields[0] if fields else 'model'
  parts.append(
    charts.scatter(ordered, 'images_per_second', 'top1', 'name', color)
  )
  if shares := importance(ordered, fields, 'top1'):
    parts += ['<h2>Importance of fields</h2>', _EXPLAINED]
    parts.append(charts.bars(shares, 'relative importance for top-1'))
  parts.append(_SORT)
  return page.render(title, parts, _STYLE)


def _summary(results: Sequence[Mapping[str, Any]]) -> str:
  statuses = collections.Counter(
    result['status'] for result in results if 'status' in result
  )
  words = ', '.join(f'{number:,} {name}' for name, number in statuses.items())
  counted = f': {words}' if words else ''
  return f'<p>{count(len(results), "run")}{page.text(counted)}.</p>'


def _failures(results: Sequence[Mapping[str, Any]]) -> str:
  failed = [result for result in results if result.get('status') == 'failed']
  shown = ' open' if len(failed) <= _MOST_OPEN else ''
  parts = [
    f'<details{shown}><summary class="failed">{page.text(result["name"])}:'
    f' {page.text(result.get("reason") or "failed")}</summary>'
    f'<pre>{page.text(result.get("log", ""))}</pre></details>'
    for result in failed
  ]
  return '<h2 class="failed">Failed</h2>' + ''.join(parts) if parts else ''


def _table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
  shown = [c for c in columns if any(row.get(c) is not None for row in rows)]
  head = ''.join(
    f'<th>{page.text(charts.label(column))}</th>' for column in shown
  )
  body = ''.join(
    f'<tr{_mark(row)}>'
    + ''.join(_cell(row.get(column)) for column in shown)
    + '</tr>'
    for row in rows
  )
  return (
    '<div class="scroll"><table class="runs"><thead><tr>'
    f'{head}</tr></thead><tbody>{body}</tbody></table></div>'
  )


def _mark(row: Mapping[str, Any]) -> str:
  return ' class="failed"' if row.get('status') == 'failed' else ''


def _cell(value: Any) -> str:
  if value is None:
    return '<td data-value=""></td>'
  if not isinstance(value, float):
    return f'<td data-value="{page.text(value)}">{page.text(value)}</td>'
  key = value if math.isfinite(value) else ''
  return f'<td data-value="{key}">{page.number(value, ".6g")}</td>'


def _curves(results: Sequence[Mapping[str, Any]]) -> str:
  """Draws the curves of the best runs."""
  drawn = [result for result in results if result.get('step')][:_MOST_CURVES]
  rows = {
    result['name']: metrics.read_rows(paths.resolve(result['workdir']))
    for result in drawn
  }
  words = ''
  if len(results) > _MOST_CURVES:
    words = f'<p>The {_MOST_CURVES} runs with the best top-1.</p>'
  return (
    f'<h2>Learning curves</h2>{words}'
    + charts.curves(rows, 'evaluation', 'top1')
    + charts.curves(rows, 'train', 'loss')
  )


if __name__ == '__main__':
  commands.run(main, define_flags)

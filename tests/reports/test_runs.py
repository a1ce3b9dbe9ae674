"""Tables and the report page of many runs."""

import csv
import json
import math

import pytest

pytest.importorskip('plotly')

from inception import paths
from inception.errors import UserError
from inception.reports import importance, run_results, runs

RESULTS = [
  {
    'name': f'{name}-{seed}',
    'status': 'finished',
    'model': name,
    'seed': seed,
    'top1': top1,
    'images_per_second': 100.0,
  }
  for name, seed, top1 in (
    ('a', 0, 90.0),
    ('a', 1, 92.0),
    ('b', 0, 70.0),
    ('b', 1, 70.0),
  )
]
FAILED = {
  'name': '<c>',
  'status': 'failed',
  'model': 'c',
  'seed': 0,
  'reason': 'error: a <b> & c',
  'log': 'first\nerror: a <b> & c',
}


def test_means_are_over_seeds():
  found = run_results.means([*RESULTS, FAILED], ['model', 'seed'])
  assert found == [
    {'model': 'a', 'top1_mean': 91.0, 'top1_std': 1.414, 'count': 2},
    {'model': 'b', 'top1_mean': 70.0, 'top1_std': 0.0, 'count': 2},
  ]
  (one,) = run_results.means(RESULTS[:1], ['model', 'seed'])
  assert (one['top1_std'], one['count']) == (None, 1)


def test_tables_have_the_columns_of_timm_first(tmp_path):
  run_results.write_results(
    paths.resolve(tmp_path), [*RESULTS, FAILED], ['model', 'seed']
  )
  with open(tmp_path / 'results.csv') as file:
    rows = list(csv.DictReader(file))
  assert list(rows[0])[:9] == [
    *('model', 'img_size', 'top1', 'top1_err', 'top5', 'top5_err'),
    *('param_count', 'crop_pct', 'interpolation'),
  ]
  assert [row['top1'] for row in rows] == ['90.0', '92.0', '70.0', '70.0', '']
  tree = json.loads((tmp_path / 'results.json').read_text())
  assert tree['means'][0]['top1_mean'] == 91.0
  assert (tmp_path / 'means.csv').read_text().startswith('model,top1_mean')


def test_the_importance_of_fields_is_found():
  shares = importance.importance(RESULTS, ['seed', 'model'], 'top1')
  assert list(shares) == ['model', 'seed']
  assert sum(shares.values()) == pytest.approx(1) and shares['model'] > 0.9
  assert importance.importance(RESULTS[:3], ['model'], 'top1') == {}
  assert importance.importance(RESULTS[2:], ['seed'], 'top1') == {}


def test_the_page_needs_no_network_and_shows_failures():
  page = runs.render('Sweep', [*RESULTS, FAILED], ['model', 'seed'])
  start, _, end = page.partition('<script>')
  assert 'Plotly.newPlot' in end and 'https://cdn' not in start
  assert '<script src' not in page and '<link' not in page
  for text in (
    '&lt;c&gt;: error: a &lt;b&gt; &amp; c</summary>',
    '5 runs: 4 finished, 1 failed.',
    '<h2>Means over seeds</h2>',
    '<td data-value="91.0">91</td>',
    'prefers-color-scheme: dark',
  ):
    assert text in page, text
  assert '<h2 class="failed">' not in runs.render('x', RESULTS, ['model'])
  diverged = {**RESULTS[0], 'loss': math.nan}
  page = runs.render('x', [diverged], ['model'])
  assert '<td data-value="">not finite</td>' in page and '1 run: 1 fin' in page


def test_only_fields_that_differ_are_shown():
  configs = [{'a': 1, 'b': 2}, {'a': 1, 'b': 3}, {}]
  assert runs._fields(configs) == ['b']
  assert run_results.differing([{'a': 1}, {'a': 1, 'b': None}]) == []
  assert run_results.differing([{'a': 1}, {'a': 2}]) == ['a']


def test_folders_without_runs_are_refused(tmp_path):
  with pytest.raises(UserError, match='no workdir of a run matches'):
    runs._find([str(tmp_path / '*')])

"""Training curves, drawn from the metrics of a run."""

import json

from PIL import Image
import pytest

from inception.errors import UserError
from inception.reports import curves


def test_curves_are_drawn_for_all_splits(tmp_path):
  rows = [
    {'step': step, 'split': split, 'loss': 1 / step, 'top1': 0.9}
    for step in (1, 2, 3)
    for split in ('train', 'test')
  ]
  (tmp_path / 'metrics.jsonl').write_text('\n'.join(map(json.dumps, rows)))
  assert curves.read_rows(tmp_path) == rows
  curves.draw(rows, tmp_path / 'curves.png', title='a run')
  with Image.open(tmp_path / 'curves.png') as image:
    assert image.size == (1200, 480)
    assert len(image.convert('RGB').getcolors(1 << 20)) > 10


def test_a_run_without_rows_is_refused(tmp_path):
  with pytest.raises(UserError, match='give the workdir of a run'):
    curves.read_rows(tmp_path)
  (tmp_path / 'metrics.jsonl').write_text('')
  with pytest.raises(UserError, match='has not logged a step yet'):
    curves.read_rows(tmp_path)
  (tmp_path / 'metrics.jsonl').write_text('{"step"')
  with pytest.raises(UserError, match='has not logged a step yet'):
    curves.read_rows(tmp_path)

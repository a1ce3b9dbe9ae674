"""Accuracy against throughput: what is measured, published, and drawn."""

import json
import math

from PIL import Image
import pytest

from inception import paths
from inception.errors import UserError
from inception.reports import pareto, points

OURS = {
  'project': 'ours',
  'kind': 'inference',
  'architecture': 'inception_v3',
  'precision': 'float32',
  'batch_size': 16,
  'images_per_second': 20.0,
  'peak_bytes': 2**28,
}
CASCADE = {
  'dataset': 'imagenet2012',
  'data_dir': None,
  'a': {
    'name': 'small',
    'examples': 50,
    'top1': 0.7,
    'images_per_second': 50.0,
  },
  'b': {
    'name': 'large',
    'examples': 50,
    'top1': 0.78,
    'images_per_second': 20.0,
  },
  'points': [
    {'top1': 0.7, 'images_per_second': 50.0},
    {'top1': 0.77, 'images_per_second': 30.0},
    {'top1': 0.78, 'images_per_second': 14.0},
  ],
}


def test_published_and_measured_accuracies_are_separate():
  results = [
    OURS,
    {**OURS, 'precision': 'int8', 'top1': 0.76, 'workdir': 'runs/v3'},
    {**OURS, 'dataset': 'digits', 'top1': 0.98, 'workdir': 'runs/digits'},
    {**OURS, 'project': 'torchvision', 'precision': 'bfloat16'},
    {**OURS, 'kind': 'training'},
  ]
  random, int8, digits, other = points.read_points(results)
  assert (random.top1, random.published) == (None, 0.788)
  assert random.height == 78.8
  assert (int8.top1, int8.published, int8.height) == (0.76, 0.772, 76)
  assert (digits.top1, digits.published) == (0.98, None)
  assert (other.network, other.published) == ('torchvision inception_v3', 0.788)


def test_the_hull_is_above_and_right_of_all():
  hull = points.upper_hull([(1, 9), (2, 10), (3, 7), (4, 8), (6, 5), (5, 5)])
  assert hull == [(2, 10), (4, 8), (6, 5)]
  assert points.upper_hull([(1, 1)]) == [(1, 1)] and not points.upper_hull([])


def test_a_picture_is_drawn(tmp_path):
  output = tmp_path / 'pareto.png'
  results = points.read_points(
    [
      OURS,
      {**OURS, 'precision': 'int8', 'images_per_second': 60.0, 'top1': 0.7},
    ]
  )
  pareto.draw(results, [CASCADE], paths.resolve(output))
  assert len(Image.open(output).convert('RGB').getcolors(2**20)) > 50
  pareto.draw([], [CASCADE], paths.resolve(output))


def test_accuracies_on_different_data_are_refused():
  ours, digits, emoji, copied = points.read_points(
    [
      OURS,
      {**OURS, 'dataset': 'digits', 'data_dir': None},
      {**OURS, 'dataset': 'folder', 'data_dir': 'emoji'},
      {**OURS, 'dataset': 'imagenet2012', 'data_dir': '/data'},
    ]
  )
  points.check_data([ours.data, copied.data])
  with pytest.raises(UserError, match='digits and folder emoji'):
    points.check_data([digits.data, emoji.data])
  with pytest.raises(UserError, match='digits and imagenet2012'):
    points.check_data([ours.data, digits.data])


@pytest.mark.parametrize(
  'other',
  [
    {'a': 1},
    [],
    {'results': 5},
    {'results': [5]},
    {'results': [{}]},
    {'results': [{**OURS, 'images_per_second': 'fast'}]},
    {'results': [{**OURS, 'images_per_second': math.nan}]},
    {'results': [{**OURS, 'images_per_second': 0.0}]},
    {'results': [{**OURS, 'top1': math.inf}]},
    {'results': [{**OURS, 'peak_bytes': '1 GB'}]},
    {**CASCADE, 'points': []},
    {**CASCADE, 'points': [{'x': 1}]},
    {**CASCADE, 'a': {}},
    {**CASCADE, 'b': {**CASCADE['b'], 'top1': None}},
  ],
)
def test_other_files_are_refused(other, tmp_path):
  path = tmp_path / 'other.json'
  path.write_text(json.dumps(other))
  with pytest.raises(UserError, match='is not a result of benchmarks'):
    pareto.read([path])


def test_invalid_json_is_refused(tmp_path):
  (tmp_path / 'x.json').write_text('x')
  with pytest.raises(UserError, match='is not JSON'):
    pareto.read([tmp_path / 'x.json'])

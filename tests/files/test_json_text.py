"""JSON that strict parsers accept, and its digest."""

import json
import math

import pytest

from inception import paths
from inception.errors import UserError
from inception.files import json_text


def test_numbers_that_are_not_finite_are_null():
  tree = {'a': [1.0, math.nan], 'b': {'c': (-math.inf, 2)}}
  text = json_text.dump(tree)
  assert json.loads(text) == {'a': [1.0, None], 'b': {'c': [None, 2]}}


def test_a_change_of_a_sealed_file_is_detected():
  sealed = json_text.seal({'width': 1.0, 'loss': math.nan, 'sizes': (1, 2)})
  read = json_text.load(json_text.dump(sealed))
  assert json_text.unseal(read, 'it') == {
    'width': 1.0,
    'loss': None,
    'sizes': [1, 2],
  }
  with pytest.raises(ValueError, match='it differs'):
    json_text.unseal({**read, 'width': 9.0}, 'it')


@pytest.mark.parametrize('text', ['[' * 100_000, '{', '\\xff', '9' * 5000])
def test_invalid_json_is_refused_in_one_line(text, tmp_path):
  path = paths.resolve(tmp_path / 'a.json')
  path.write_text(text)
  with pytest.raises(UserError, match='a.json is not JSON') as error:
    json_text.read(path)
  assert '\n' not in str(error.value)

"""Odd config values are refused before a workdir exists, or they run."""

import collections
import contextlib
import pathlib
import random
import shutil

from inception.config import checks, compare
from tests import tiny, waiting, warm

_NUMBERS = (-1, 0, 1, 2, 3, 7, 1000, 10**6, 2**31 - 1, 2**31, 2**40, 10**20)
_FLOATS = (
  *(float('nan'), float('inf'), -1.0, 0.0, 1e-300, 1e-30, 1e-5, 0.1, 0.5),
  *(0.999999, 1.0, 1.5, 10.0, 1e5, 1e6, 1e30, 1e300),
)
_WORDS = ('', ' ', 'sgd', 'train', 'test', 'test[:0]', 'x\n', 'a' * 5000)
_WORDS += ('gs://bucket/x', '/dev/null', '../..', 'tiny', 'bfloat16', 'é')
_TUPLES = ((), (1.0,), (0.5, 1.0), (1.0, 0.5), (0.0, 0.0, 0.0), (1e-30, 1e30))
_TUPLES += ((1.0, 2.0, 3.0), ('a', 'b', 'c'), (float('nan'),) * 3)
# Most have the type of the field; the others are refused at once.
_VALUES = {
  int: (*_NUMBERS, 1.5, True, 'x'),
  float: (*_FLOATS, *_NUMBERS, True, 'x'),
  str: (*_WORDS, 1),
  tuple: (*_TUPLES, 1.0),
  bool: (True, False, 1, 'x'),
}
# A non-finite loss is detected only after the run has started.
_AFTER_THE_START = ('is not finite', 'the loss is')


def run(folder: pathlib.Path, count: int, seed: int) -> dict:
  """Tries values; returns how many were refused and how many ran.

  Raises:
    AssertionError: A traceback, a hang, or a workdir of a refused run.
  """
  generator = random.Random(seed)
  fields = sorted(compare.flatten(tiny.get_config()))
  answers: collections.Counter[str] = collections.Counter()
  workdir, file = folder / 'odd', folder / 'odd.json'
  for case in range(count):
    shutil.rmtree(workdir, ignore_errors=True)
    config = _make_config(folder)
    field = fields[case % len(fields)]
    value = generator.choice(_VALUES[checks.type_of(field)])
    try:
      config.update_from_flattened_dict({field: value})
    except (TypeError, ValueError):
      answers['refused by its type'] += 1
      continue
    name = f'{field}={value!r:.50}'
    file.write_text(compare.to_json(config))
    ((status, _, text),) = waiting.run(
      'train',
      workdir,
      '--stop_at_step=2',
      config=f'{warm.ROOT}/tests/chaos/given.py:{file}',
      # Relative paths in odd configs start here.
      cwd=folder,
    )
    lines = [line for line in text.splitlines() if line.startswith('error: ')]
    assert status in (0, 2), f'{name}: status {status}: {text}'
    assert 'Traceback' not in text, f'{name}: {text}'
    if status == 2:
      assert len(lines) == 1, f'{name}: {text}'
      late = any(words in lines[0] for words in _AFTER_THE_START)
      assert late or not workdir.exists(), f'{name}: {text}'
    answers['ran' if status == 0 else 'refused'] += 1
  return {'values': count, **answers}


def _make_config(folder: pathlib.Path):
  config = tiny.get_config()
  config.num_steps = 2
  config.data.retry_seconds = 0.0
  with contextlib.suppress(FileExistsError):
    (folder / 'data').mkdir()
  return config

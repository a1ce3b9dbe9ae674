"""Stands in for train.py: counts steps in a file and resumes from there.

It writes the files of a run that a sweep reads. `python tests/sweeps/stub.py
--config=... --config.seed=3 --workdir=DIR`; `seed` chooses what happens.
"""

import os
import pathlib
import sys
import time

from inception.config import compare, default
from inception.observing.metrics import format_row

STEPS = 10
FAILS, DIVERGES = 77, 78


def main():
  values = dict(argument[2:].split('=', 1) for argument in sys.argv[1:])
  workdir = pathlib.Path(values['workdir'])
  seed = int(values.get('config.seed', 0))
  (workdir / 'starts').open('a').write(f'{os.getpid()}\n')
  if seed == FAILS:
    print('starting\nerror: the picture is broken', file=sys.stderr)
    sys.exit(2)
  config = default.get_config()
  config.update_from_flattened_dict(
    {'seed': seed, 'model.num_classes': 10, 'data.class_names': ('a', 'b')}
  )
  (workdir / 'config.json').write_text(compare.to_json(config))
  steps = workdir / 'steps'
  done = len(steps.read_text().split()) if steps.exists() else 0
  with (
    steps.open('a') as file,
    (workdir / 'metrics.jsonl').open('ab') as metrics,
  ):
    for step in range(done + 1, STEPS + 1):
      time.sleep(float(os.environ.get('STUB_SECONDS', '0.1')) / STEPS)
      for split in ('train', 'val'):
        row = {'step': step, 'split': split, 'loss': 2.0 / step}
        row |= {'top1': step / STEPS - seed / 1000, 'top5': 0.99}
        row |= {'images_per_second': 100.0 + seed, 'time': time.time()}
        os.write(metrics.fileno(), format_row(row))
      os.write(file.fileno(), f'{step}\n'.encode())


main()

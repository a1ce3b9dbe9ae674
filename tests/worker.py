"""Runs train.py, eval.py or predict with the network of tests/tiny.py.

Run:  python -m tests.worker train --config=tests/tiny.py --workdir=DIR ...
"""

import sys

from inception.cli import commands
from tests import tiny  # Registers the network.

if __name__ == '__main__':
  import eval as eval_command
  import train as train_command

  del tiny
  from inception.predict import __main__ as predict_command

  command = {
    'train': train_command,
    'eval': eval_command,
    'predict': predict_command,
  }[sys.argv.pop(1)]
  from inception.data import batches

  batches._CHUNK = 1  # The graph of the host pipeline grows with it.
  commands.run(command.main, command.define_flags)

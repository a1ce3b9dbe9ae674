"""Trains a network: python train.py --config=FILE --workdir=DIR.

The same as python -m inception.training.
"""

import signal

if __name__ == '__main__':
  # Ctrl-C ends the program without a traceback, also while it imports.
  signal.signal(signal.SIGINT, signal.SIG_DFL)

from inception.cli import commands
from inception.training.__main__ import define_flags, main

if __name__ == '__main__':
  commands.run(main, define_flags)

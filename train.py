"""Trains a network; the same as python -m inception.training.

Run:  python train.py --workdir=runs/digits
      python train.py --config=configs/inception_v3.py --workdir=runs/v3
        --config.precision=bfloat16 --config.batch_size=512

Run it again with the same workdir to resume.
"""

import signal

if __name__ == '__main__':
  # Ctrl-C ends the program without a traceback, even during imports.
  signal.signal(signal.SIGINT, signal.SIG_DFL)

from inception.cli import commands
from inception.training.__main__ import define_flags, main

if __name__ == '__main__':
  commands.run(main, define_flags)

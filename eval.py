"""Evaluates a checkpoint; the same as python -m inception.evaluation.

Run:  python eval.py --workdir=runs/digits --step=best
      python eval.py --workdir=inception_v3.tv_in1k --dataset=folder
        --data_dir=imagenet --split=val --crops=10
"""

import signal

if __name__ == '__main__':
  # Ctrl-C ends the program without a traceback, even during imports.
  signal.signal(signal.SIGINT, signal.SIG_DFL)

from inception.cli import commands
from inception.evaluation.__main__ import define_flags, main

if __name__ == '__main__':
  commands.run(main, define_flags)
